"""What the library finds out about honest files, wherever they are kept."""

from __future__ import annotations

import asyncio
import hashlib
import io
from pathlib import Path

import av
import pytest

from recorder.errors import FileRefused, JobPostponed
from recorder.media import ranges
from recorder.media.limits import MediaLimits
from storage.errors import StoreUnavailable
from storage.objects import MemoryStore
from tests.recorder.media.films import boxes, film
from tests.recorder.media.shelf import Shelf, open_shelf


async def test_a_film_is_told_by_its_content(either_shelf: Shelf, films: Path) -> None:
    row = await either_shelf.brought(films / "plain.mp4", "Lecture.MOV")
    assert row.duration_seconds == pytest.approx(2.0, abs=0.05)
    assert (row.width, row.height, row.quality) == (640, 360, "360p")
    assert (row.video_codec, row.audio_codec) == ("h264", "aac")
    assert (row.content_type, row.file_type) == ("video/mp4", "video")
    assert row.frame_rate == pytest.approx(30, abs=0.5)
    data = (films / "plain.mp4").read_bytes()
    assert row.size == len(data)
    assert row.bitrate == pytest.approx(len(data) * 8 / 2, rel=0.05)
    assert row.sha256 == hashlib.sha256(data).hexdigest()
    assert row.status == "ready"
    assert row.filename == "Lecture.MOV"
    assert not (either_shelf.folder / "scratch").exists() or not list(
        (either_shelf.folder / "scratch").iterdir()
    )


@pytest.mark.parametrize(
    ("name", "codecs", "content_type"),
    [
        ("plain.webm", ("vp8", "opus"), "video/webm"),
        ("plain.avi", ("mpeg4", "mp3"), "video/x-msvideo"),
    ],
)
async def test_other_containers(
    shelf: Shelf, films: Path, name: str, codecs: tuple[str, str], content_type: str
) -> None:
    row = await shelf.brought(films / name, name)
    assert (row.video_codec, row.audio_codec) == codecs
    assert row.content_type == content_type
    assert row.duration_seconds == pytest.approx(1.0, abs=0.1)


async def test_an_index_at_the_front_or_at_the_end(either_shelf: Shelf, tmp_path: Path) -> None:
    for options in ({}, {"movflags": "faststart"}):
        path = film(tmp_path / "f.mp4", options=options, seconds=1.0)
        order = list(boxes(path.read_bytes()))
        assert (order.index(b"moov") < order.index(b"mdat")) is bool(options)
        row = await either_shelf.brought(path)
        assert row.duration_seconds == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("rotation", [90, -90, 180])
async def test_a_rotated_film_has_the_size_that_is_seen(
    shelf: Shelf, tmp_path: Path, rotation: int
) -> None:
    row = await shelf.brought(film(tmp_path / "r.mp4", rotation=rotation, seconds=0.5))
    assert (row.width, row.height) == ((640, 360) if rotation == 180 else (360, 640))


async def test_a_film_of_uneven_frame_rate(shelf: Shelf, tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 1.0, 1.5, 3.0, 3.02, 4.0]
    row = await shelf.brought(film(tmp_path / "v.mp4", times=times, audio=None))
    assert row.duration_seconds == pytest.approx(4.0, abs=0.1)
    assert row.frame_rate == pytest.approx(2.0, abs=0.1)


async def test_sound_alone(shelf: Shelf, tmp_path: Path) -> None:
    row = await shelf.brought(film(tmp_path / "s.m4a", video=None), "song.m4a")
    assert (row.file_type, row.content_type) == ("audio", "audio/mp4")
    assert (row.width, row.height, row.quality, row.frame_rate) == (None, None, None, None)
    assert row.duration_seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("container", "codec", "content_type"),
    [
        ("mp3", "libmp3lame", "audio/mpeg"),
        ("ogg", "libopus", "audio/ogg"),
        ("wav", "pcm_s16le", "audio/wav"),
        ("flac", "flac", "audio/flac"),
    ],
)
async def test_sound_in_containers_of_its_own(
    shelf: Shelf, tmp_path: Path, container: str, codec: str, content_type: str
) -> None:
    path = film(tmp_path / f"s.{container}", container=container, video=None, audio=codec)
    row = await shelf.brought(path, path.name)
    assert (row.file_type, row.content_type) == ("audio", content_type)
    assert row.duration_seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("container", ["webm", "mp4"])
async def test_a_browsers_recording_that_does_not_say_its_length(
    either_shelf: Shelf, tmp_path: Path, container: str
) -> None:
    path = tmp_path / f"live.{container}"
    if container == "webm":
        live = {"live": "1"}
        film(path, container="webm", video="libvpx", audio="libopus", options=live, seconds=1.0)
        with av.open(str(path)) as opened:
            assert opened.duration is None
    else:
        film(path, options={"movflags": "frag_keyframe+empty_moov+skip_trailer"}, seconds=3.0)
    row = await either_shelf.brought(path, path.name)
    expected = 1.0 if container == "webm" else 3.0
    assert row.duration_seconds == pytest.approx(expected, abs=0.1)
    assert row.frame_rate == pytest.approx(30, abs=1)


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "code", "words"),
    [
        ({"min_width": 800}, "too_small", "800x240"),
        ({"longest_seconds": 1.5}, "too_long", "at most 2 s"),
        ({"most_pixels": 1000}, "too_large_picture", "1000 in all"),
        ({"formats": ("webm",)}, "unsupported_format", "allowed are webm"),
    ],
)
async def test_the_limit_that_was_hit_is_told(
    shelf: Shelf, films: Path, limits: dict[str, object], code: str, words: str
) -> None:
    shelf.limits = MediaLimits(**limits)  # type: ignore[arg-type]
    library = shelf.another_library()
    with pytest.raises(FileRefused) as caught:
        await library.admit(await shelf.upload(films / "plain.mp4"))
    assert caught.value.code == code
    assert words in str(caught.value)
    assert caught.value.details


async def test_a_standing_film_passes_the_limit_of_a_lying_one(
    shelf: Shelf, tmp_path: Path
) -> None:
    path = film(tmp_path / "s.mp4", size=(240, 426), seconds=0.5, audio=None)
    assert (await shelf.brought(path)).status == "ready"


# --- once and only once ---------------------------------------------------------------------------


async def test_an_upload_that_is_admitted_twice_is_one_file(shelf: Shelf, films: Path) -> None:
    upload = await shelf.upload(films / "plain.mp4", course_id="course-1")
    first, second = await asyncio.gather(shelf.library.admit(upload), shelf.library.admit(upload))
    assert first == second
    assert shelf.tools.kinds == ["probe"]
    assert first.attachments == [{"courseId": "course-1"}]


async def test_the_same_file_again_is_told(shelf: Shelf, films: Path, tmp_path: Path) -> None:
    first = await shelf.brought(films / "plain.mp4")
    again = await shelf.brought(films / "plain.mp4", "other name.mp4")
    others = await shelf.brought(films / "plain.mp4", user="otto")
    different = await shelf.brought(film(tmp_path / "d.mp4", seconds=1.0))
    assert first.duplicate_of is None
    assert again.duplicate_of == first.id
    assert others.duplicate_of is None
    assert different.duplicate_of is None


async def test_a_store_that_fails_on_the_way_says_nothing_about_the_file(
    tmp_path: Path, films: Path
) -> None:
    async with open_shelf(tmp_path / "shelf", remote=True) as shelf:
        upload = await shelf.upload(films / "plain.mp4")
        shelf.store = store = _Tiring(shelf.store)
        library = shelf.another_library()
        store.left = 3
        with pytest.raises(StoreUnavailable):
            await library.admit(upload)
        store.left = 1 << 30
        assert (await library.admit(upload)).status == "ready"
        await library.close()


class _Tiring(MemoryStore):
    """Answers `left` reads, and then no more."""

    def __init__(self, other: object) -> None:
        super().__init__()
        self.__dict__.update(vars(other))
        self.left = 1 << 30

    async def open(self, key: str, start: int = 0, end: int | None = None):  # type: ignore[no-untyped-def, override]
        self.left -= 1
        if self.left < 0:
            raise StoreUnavailable("the store is down")
        async for block in super().open(key, start, end):
            yield block


async def test_a_machine_without_room_says_nothing_about_the_file(
    shelf: Shelf, films: Path
) -> None:
    upload = await shelf.upload(films / "plain.mp4")
    shelf.tools.failures.append(JobPostponed("no processes left"))
    with pytest.raises(JobPostponed):
        await shelf.library.admit(upload)
    assert (await shelf.library.admit(upload)).status == "ready"


async def test_what_a_remote_probe_reads_is_a_small_part_of_a_large_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "large.mp4", seconds=2.0)
    data = path.read_bytes()
    parts = boxes(data)
    filler = (8 + (64 << 20)).to_bytes(4) + b"free" + bytes(64 << 20)
    large = parts[b"ftyp"] + parts[b"free"] + parts[b"mdat"] + filler + parts[b"moov"]
    sent: list[ranges.ObjectRanges] = []
    right = ranges.ObjectRanges.__init__

    def noted(self: ranges.ObjectRanges, *given: object) -> None:
        right(self, *given)  # type: ignore[arg-type]
        sent.append(self)

    monkeypatch.setattr(ranges.ObjectRanges, "__init__", noted)
    async with open_shelf(tmp_path / "shelf", remote=True) as shelf:
        row = await shelf.brought(large)
    assert row.duration_seconds == pytest.approx(2.0, abs=0.05)
    assert io.BytesIO(large).getbuffer().nbytes > 64 << 20
    assert sum(each.sent for each in sent) < 4 << 20
