"""Formats by their first bytes, and containers that are whole: no input leads anywhere but there."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.errors import BadRendition, FileRefused
from recorder.media.facts import quality
from recorder.media.limits import MediaLimits
from recorder.media.renditions import Rung, rungs_of
from recorder.media.sniff import CONTENT_TYPES, HEAD, TAIL, disguise, sniff, strange
from recorder.media.structure import check_structure
from tests.recorder.media.films import box, boxes, tiny_webm

LIMITS = MediaLimits()


@pytest.mark.parametrize(
    ("head", "format"),
    [
        (b"\x00\x00\x00\x20ftypisom", "mp4"),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ", "mov"),
        (b"\x00\x00\x00\x1cftypM4A \x00\x00\x00\x00", "m4a"),
        (b"\x00\x00\x00\x18ftypavif", None),
        (b"\x00\x01\x00\x00ftypisom", None),  # so long a list of brands is none
        (b"\x00\x00\x00\x13ftypisom", None),
        (b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", "mov"),
        (b"\x00\x00\x10\x00moov", "mov"),
        (b"freemoov and other words", None),
        (tiny_webm(2, 2, b"")[:64], "webm"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska\x42\x87\x81\x04", "mkv"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x85other", None),
        (b"RIFF\x00\x10\x00\x00AVI LIST", "avi"),
        (b"RIFF\x00\x10\x00\x00WAVEfmt ", "wav"),
        (b"RIFF\x00\x10\x00\x00WEBPVP8 ", None),
        (b"OggS\x00\x02", "ogg"),
        (b"fLaC\x00\x00\x00\x22", "flac"),
        (b"ID3\x04\x00\x00\x00\x00\x02\x01and so on", "mp3"),
        (b"\xff\xfb\x90\x00" + bytes(413) + b"\xff\xfb\x90\x00", "mp3"),
        (b"\xff\xfb\x90\x00" + bytes(413) + b"no header", None),
        (b"\xff\xd8\xff\xe0 a picture", None),
        (b"", None),
        (b"plain words", None),
    ],
)
def test_a_format_by_its_first_bytes(head: bytes, format: str | None) -> None:
    assert sniff(head) == format


@given(st.binary(max_size=64))
def test_any_bytes_have_one_format_or_none(head: bytes) -> None:
    assert sniff(head) is None or sniff(head) in CONTENT_TYPES


def test_an_archive_behind_a_film_is_seen_whatever_its_comment() -> None:
    for comment in (b"", b"x" * 65_535):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as made:
            made.writestr("a.html", "<p>")
            made.comment = comment
        data = b"\x00\x00\x00\x20ftypisom" + bytes(9999) + archive.getvalue()
        assert disguise(data[:HEAD], data[-TAIL:]) == "a ZIP archive"
    assert disguise(b"", b"PK\x05\x06 by chance, in the middle of media") is None
    assert strange(archive.getvalue()) == "a ZIP archive"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_spoilt_container_is_taken_or_refused_and_nothing_else(
    films: Path, data: st.DataObject
) -> None:
    name, format = data.draw(
        st.sampled_from([("plain.mp4", "mp4"), ("plain.webm", "webm"), ("plain.avi", "avi")])
    )
    content = bytearray((films / name).read_bytes())
    if format == "mp4":  # where the index is, rather than the media
        parts = boxes(bytes(content))
        content = bytearray(parts[b"ftyp"] + parts[b"moov"] + box(b"mdat", bytes(50)))
    places = st.integers(0, min(len(content), 3000) - 1)
    for at in data.draw(st.lists(places, max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    kept = data.draw(st.integers(0, len(content)))
    with suppress(FileRefused):
        check_structure(io.BytesIO(content[:kept]), format, kept, LIMITS)


def test_boxes_that_never_end_are_given_up() -> None:
    endless = box(b"ftyp", b"isom" * 4) + box(b"free") * 450_000
    with pytest.raises(FileRefused, match="boxes"):
        check_structure(io.BytesIO(endless), "mp4", len(endless), LIMITS)


def test_what_cameras_leave_behind_a_film_is_left_alone(films: Path) -> None:
    film = (films / "plain.mp4").read_bytes()
    for rest in (bytes(100), b"\x00\x00\x00\x10\x01\x02\x03\x04 camera notes", b""):
        data = film + rest
        assert check_structure(io.BytesIO(data), "mp4", len(data), LIMITS) is False


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 360), "360p"),
        ((160, 120), "360p"),
        ((854, 480), "480p"),
        ((720, 576), "480p"),
        ((1280, 720), "720p"),
        ((720, 1280), "720p"),
        ((1920, 800), "1080p"),
        ((2560, 1440), "1440p"),
        ((3840, 2160), "4k"),
        ((4096, 1716), "4k"),
        ((7680, 4320), "4k"),
    ],
)
def test_classes_of_quality(size: tuple[int, int], expected: str) -> None:
    assert quality(*size) == expected


def test_sizes_fit_their_boxes_and_never_grow() -> None:
    assert rungs_of("720p", 1920, 1080) == (Rung("720p", 1280, 720, 2_800_000),)
    assert rungs_of("720p", 1080, 1920) == (Rung("720p", 720, 1280, 2_800_000),)
    assert rungs_of("1080p", 1920, 800)[0].height == 800
    assert rungs_of("480p", 853, 479)[0] == Rung("480p", 852, 480, 1_400_000)  # even
    assert [rung.name for rung in rungs_of("hls", 1920, 1080)] == ["240p", "360p", "720p", "1080p"]
    assert [rung.name for rung in rungs_of("hls", None, None)] == ["audio"]
    for name, size in (("720p", (640, 360)), ("144p", (640, 360)), ("240p", (None, None))):
        with pytest.raises(BadRendition):
            rungs_of(name, *size)
