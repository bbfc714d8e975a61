"""Files that are not what they say: refused with the reason, by real processes; nothing is kept."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from recorder.errors import FileRefused
from tests.recorder.media.films import (
    ZLIB,
    avi_of_size,
    boxes,
    film,
    fragment_bomb,
    tiny_webm,
    with_compressed_index,
    with_reference,
    with_samples,
)
from tests.recorder.media.shelf import Shelf

Make = Callable[[Path], bytes]


def _mp4(films: Path) -> bytes:
    return (films / "plain.mp4").read_bytes()


def _keyframe(films: Path) -> bytes:
    with av.open(str(films / "plain.webm")) as container:
        return next(bytes(packet) for packet in container.demux(video=0))


async def refused(shelf: Shelf, content: bytes, name: str) -> FileRefused:
    """Why it was refused; and that nothing is left of it, and the next honest file comes in."""
    upload = await shelf.upload(content, name)
    with pytest.raises(FileRefused) as caught:
        await shelf.library.admit(upload)
    assert (await shelf.library.find(None)).total == 0
    assert not list((shelf.folder / "scratch").glob("*"))
    return caught.value


NO_MEDIA: dict[str, Make] = {
    "a text file": lambda _: b"Dear diary, today I was named .mp4.\n" * 500,
    "an empty file": lambda _: b"",
    "three bytes": lambda _: b"\x00\x00\x00",
    "a web page": lambda _: b"<!DOCTYPE html><script>alert(1)</script>" * 50,
    "an HLS playlist": lambda _: b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "a playlist of an address inside": (
        lambda _: b"#EXTM3U\n#EXTINF:9,\nhttp://169.254.169.254/latest/meta-data/\n"
    ),
    "a list of files to join": lambda _: b"ffconcat version 1.0\nfile /etc/passwd\n" * 20,
    "an SDP that asks for streams": lambda _: b"v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    "a DASH manifest": lambda _: b'<?xml version="1.0"?><MPD><BaseURL>http://x/</BaseURL></MPD>',
    "a subtitle file with references": lambda _: b"[Script Info]\nTitle: x\n" * 20,
    "a program": lambda _: b"\x7fELF" + bytes(4000),
    "an image with an MP4 brand": (
        lambda _: b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(500)
    ),
    "a script in place of the first box's length": (lambda films: b"<scr" + _mp4(films)[4:]),
}


@pytest.mark.parametrize("attack", NO_MEDIA)
async def test_what_is_no_media_named_mp4(shelf: Shelf, films: Path, attack: str) -> None:
    error = await refused(shelf, NO_MEDIA[attack](films), "film.mp4")
    assert (error.code, error.status) == ("unsupported_format", 415)
    assert "ALLOWED_VIDEO_FORMATS" in str(error)
    assert shelf.tools.kinds == []  # no demuxer ever saw it


def _zip(tmp_path: Path) -> bytes:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "payload.html").write_text("<script>alert(1)</script>")
    return Path(shutil.make_archive(str(tmp_path / "made"), "zip", tmp_path / "in")).read_bytes()


async def test_a_polyglot_of_film_and_zip_archive(
    shelf: Shelf, films: Path, tmp_path: Path
) -> None:
    error = await refused(shelf, _mp4(films) + _zip(tmp_path), "film.mp4")
    assert error.code == "unsupported_format"
    assert "ZIP" in str(error)


@pytest.mark.parametrize(
    "hidden", [b"<html><script>alert(1)</script>", b"%PDF-1.7\n%%EOF", b"<?php system($_GET[0]);"]
)
async def test_a_polyglot_of_film_and_page(shelf: Shelf, films: Path, hidden: bytes) -> None:
    parts = boxes(_mp4(films))
    free = (8 + len(hidden)).to_bytes(4) + b"free" + hidden
    others = b"".join(part for kind, part in parts.items() if kind != b"ftyp")
    error = await refused(shelf, parts[b"ftyp"] + free + others, "film.mp4")
    assert error.code == "unsupported_format"
    assert "at once" in str(error)


async def test_a_polyglot_of_two_films(shelf: Shelf, films: Path) -> None:
    error = await refused(shelf, _mp4(films) + (films / "plain.webm").read_bytes(), "film.mp4")
    assert error.code == "unsupported_format"
    assert "WEBM" in str(error)


async def test_a_truncated_mp4(shelf: Shelf, films: Path) -> None:
    whole = _mp4(films)
    for kept in (len(whole) - 1, len(whole) // 2, 200, 40):
        error = await refused(shelf, whole[:kept], "film.mp4")
        assert (error.code, error.status) == ("truncated", 422), kept


async def test_a_truncated_mp4_with_its_index_in_front(shelf: Shelf, films: Path) -> None:
    parts = boxes(_mp4(films))
    front = parts[b"ftyp"] + parts[b"moov"] + parts[b"mdat"]
    error = await refused(shelf, front[: len(front) * 2 // 3], "film.mp4")
    assert error.code == "truncated"


@pytest.mark.parametrize("name", ["plain.webm", "plain.avi"])
async def test_a_truncated_webm_or_avi(shelf: Shelf, films: Path, name: str) -> None:
    whole = (films / name).read_bytes()
    error = await refused(shelf, whole[: len(whole) // 2], name)
    assert error.code == "truncated"


async def test_a_webm_header_of_100000_by_100000(shelf: Shelf, films: Path) -> None:
    error = await refused(shelf, tiny_webm(100_000, 100_000, _keyframe(films)), "film.webm")
    assert (error.code, error.status) == ("too_large_picture", 422)
    assert "100000x100000" in str(error)


async def test_an_avi_header_of_100000_by_100000(shelf: Shelf, films: Path) -> None:
    hostile = avi_of_size((films / "plain.avi").read_bytes(), 100_000, 100_000)
    error = await refused(shelf, hostile, "film.avi")
    assert error.code == "too_large_picture"


async def test_a_header_that_lies_about_a_picture_that_is_too_small(
    shelf: Shelf, films: Path, tmp_path: Path
) -> None:
    tiny = tmp_path / "tiny.webm"
    film(tiny, container="webm", video="libvpx", audio=None, size=(64, 48), seconds=0.2)
    with av.open(str(tiny)) as container:
        frame = next(bytes(packet) for packet in container.demux(video=0))
    error = await refused(shelf, tiny_webm(640, 480, frame), "film.webm")
    assert error.code == "too_small"


async def test_a_decompression_bomb_in_a_compressed_index(shelf: Shelf, films: Path) -> None:
    hostile = with_compressed_index(_mp4(films), 0xFFFF_FF00)
    error = await refused(shelf, hostile, "film.mp4")
    assert error.code == "not_playable"
    assert "compressed" in str(error)


async def test_a_decompression_bomb_in_matroska_packets(shelf: Shelf) -> None:
    bomb = zlib.compress(bytes(100 << 20), 9)
    error = await refused(shelf, tiny_webm(640, 480, bomb, compression=ZLIB), "film.webm")
    assert error.code == "not_playable"


async def test_a_bomb_of_four_billion_samples(shelf: Shelf, films: Path) -> None:
    error = await refused(shelf, with_samples(_mp4(films), 0xFFFF_FFFF), "film.mp4")
    assert error.code == "truncated"


async def test_a_bomb_of_fragments_with_empty_samples(
    shelf: Shelf, films: Path, tmp_path: Path
) -> None:
    fragmented = film(
        tmp_path / "f.mp4", options={"movflags": "frag_keyframe+empty_moov"}
    ).read_bytes()
    error = await refused(shelf, fragment_bomb(fragmented, 0xFFFF_FFFF), "film.mp4")
    assert error.code in ("not_playable", "too_long")


async def test_an_mp4_whose_media_is_in_another_file(shelf: Shelf, films: Path) -> None:
    for address in ("file:///etc/passwd", "http://127.0.0.1:9/secret"):
        error = await refused(shelf, with_reference(_mp4(films), address), "film.mp4")
        assert error.code == "not_playable"
        assert "another file" in str(error)


async def test_a_film_without_any_stream(shelf: Shelf, films: Path) -> None:
    parts = boxes(_mp4(films))
    moov = (8).to_bytes(4) + b"moov"
    error = await refused(shelf, parts[b"ftyp"] + moov + parts[b"mdat"], "film.mp4")
    assert error.code == "not_playable"


async def test_a_film_of_noise(shelf: Shelf, films: Path) -> None:
    parts = boxes(_mp4(films))
    noise = parts[b"mdat"][:8] + b"\xa5" * (len(parts[b"mdat"]) - 8)
    front = b"".join(noise if kind == b"mdat" else part for kind, part in parts.items())
    error = await refused(shelf, front, "film.mp4")
    assert error.code == "not_playable"
    assert "decoded" in str(error)


async def test_after_all_of_that_an_honest_film_comes_in(shelf: Shelf, films: Path) -> None:
    await refused(shelf, tiny_webm(100_000, 100_000, _keyframe(films)), "film.webm")
    row = await shelf.brought(films / "plain.mp4")
    assert row.status == "ready"
