"""What is made of films in the background: by real jobs, and taken up again after anything."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import av
import pytest

from recorder.errors import (
    BadCaptions,
    BadRendition,
    JobFailed,
    JobPostponed,
    MediaDeleted,
    NotYourMedia,
    TooManyRenditions,
    UnknownMedia,
)
from recorder.media.library import MOST_RENDITIONS
from storage.catalog import MediaRow, new_media_id
from storage.errors import StoreUnavailable
from tests.recorder.media.films import film
from tests.recorder.media.shelf import Shelf, open_shelf


def status_of(row: MediaRow, name: str) -> str:
    return str(next(each["status"] for each in row.renditions if each["name"] == name))


async def local(shelf: Shelf, tmp_path: Path, key: str) -> Path:
    path = tmp_path / key.rpartition("/")[2]
    path.write_bytes(await shelf.content(key))
    return path


def corners(path: Path, at: float = 0.5) -> tuple[int, int, int, int]:
    """Brightness near the corners: upper left, upper right, lower left, lower right."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if (frame.time is not None and frame.time >= at) or path.suffix == ".jpg":
                luma = frame.to_ndarray(format="gray")
                break
    height, width = luma.shape
    low, high = (height // 8, width // 8), (height * 7 // 8, width * 7 // 8)
    return (
        int(luma[low[0], low[1]]),
        int(luma[low[0], high[1]]),
        int(luma[high[0], low[1]]),
        int(luma[high[0], high[1]]),
    )


async def test_renditions_pictures_and_a_ladder_of_a_turned_film(tmp_path: Path) -> None:
    """Everything at once, from a store that jobs can't reach: each job costs a process."""
    source = film(tmp_path / "turned.mp4", seconds=5.0, fps=10, rotation=-90)
    async with open_shelf(tmp_path / "shelf", remote=True, thumbnails=True) as shelf:
        row = await shelf.brought(source)
        await shelf.library.process(row.id, "ursula", ["240p", "hls"])
        await shelf.library.idle()
        row = await shelf.row(row.id)
        assert [each["status"] for each in row.renditions] == ["done", "done"]
        assert {each["role"] for each in row.derived} == {"poster", "strip", "cues"}

        small = await local(shelf, tmp_path, f"media/{row.id}/240p.mp4")
        data = small.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")
        with av.open(str(small)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.width, video.height) == (240, 426)
            assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
            assert container.duration is not None
            assert container.duration / av.time_base == pytest.approx(5.0, abs=0.1)
        # the white quarter of the picture, turned clockwise: from upper left to upper right
        for shown in (small, await local(shelf, tmp_path, f"media/{row.id}/media.poster.jpg")):
            left, right, *low = corners(shown)
            assert right > 200 > max(left, *low), shown

        await _check_ladder(shelf, tmp_path, row)
        assert not list((shelf.folder / "scratch").iterdir())


async def _check_ladder(shelf: Shelf, tmp_path: Path, row: MediaRow) -> None:
    master = (await shelf.content(f"media/{row.id}/hls.m3u8")).decode()
    variants = re.findall(r"RESOLUTION=(\d+x\d+),CODECS=\"([^\"]+)\"\n(\S+)", master)
    assert [size for size, _, _ in variants] == ["240x426", "360x640"]
    assert all(re.fullmatch(r"avc1\.[0-9a-f]{6},mp4a\.40\.2", codecs) for _, codecs, _ in variants)
    begins = []
    for _, _, playlist in variants:
        text = (await shelf.content(f"media/{row.id}/{playlist}")).decode()
        lengths = [float(each) for each in re.findall(r"#EXTINF:([\d.]+),", text)]
        assert sum(lengths) == pytest.approx(5.0, abs=0.1)
        assert len(lengths) == 2  # a keyframe each 4 s
        begins.append(lengths)
        media = await local(shelf, tmp_path, f"media/{row.id}/{playlist.replace('.m3u8', '.mp4')}")
        with av.open(str(media)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 50
    assert begins[0] == begins[1]  # a player can change between them


async def test_a_film_of_uneven_rate_keeps_its_times(shelf: Shelf, tmp_path: Path) -> None:
    times = [0.0, 0.5, 0.54, 0.58, 2.0, 3.5]
    row = await shelf.brought(film(tmp_path / "v.mp4", times=times, seconds=2.0))
    await shelf.library.process(row.id, "ursula", ["240p"])
    await shelf.library.idle()
    small = await local(shelf, tmp_path, f"media/{row.id}/240p.mp4")
    with av.open(str(small)) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    assert shown == pytest.approx(times, abs=0.01)


async def test_sound_alone_as_a_stream(shelf: Shelf, tmp_path: Path) -> None:
    row = await shelf.brought(film(tmp_path / "s.m4a", video=None, seconds=7.0), "song.m4a")
    with pytest.raises(BadRendition):
        await shelf.library.process(row.id, "ursula", ["240p"])
    await shelf.library.process(row.id, "ursula", ["hls"])
    await shelf.library.idle()
    assert status_of(await shelf.row(row.id), "hls") == "done"
    playlist = (await shelf.content(f"media/{row.id}/hls-audio.m3u8")).decode()
    assert playlist.count("#EXTINF") == 2


async def test_a_size_that_the_film_does_not_have(shelf: Shelf, films: Path) -> None:
    row = await shelf.brought(films / "plain.mp4")
    for name in ("480p", "1080p", "8k"):
        with pytest.raises(BadRendition):
            await shelf.library.process(row.id, "ursula", [name])
    assert (await shelf.row(row.id)).renditions == []


# --- what goes wrong on the way -------------------------------------------------------------------


async def test_what_a_killed_server_left_is_taken_up(shelf: Shelf, films: Path) -> None:
    row = await shelf.brought(films / "plain.mp4")
    shelf.tools.hold = asyncio.Event()
    shelf.tools.begun.clear()
    await shelf.library.process(row.id, "ursula", ["240p"])
    await shelf.tools.begun.wait()
    (shelf.folder / "scratch" / "rubbish").mkdir()
    await shelf.library.close()  # as a kill leaves it: the row says what is not done
    assert status_of(await shelf.row(row.id), "240p") == "processing"
    shelf.tools.hold = None
    shelf.library = shelf.another_library()
    await shelf.library.recover()
    await shelf.library.idle()
    assert status_of(await shelf.row(row.id), "240p") == "done"
    assert not list((shelf.folder / "scratch").iterdir())


async def test_a_rendition_is_cancelled(shelf: Shelf, films: Path) -> None:
    row = await shelf.brought(films / "plain.mp4")
    shelf.tools.hold = asyncio.Event()
    shelf.tools.begun.clear()
    await shelf.library.process(row.id, "ursula", ["360p", "240p"])
    await shelf.tools.begun.wait()
    row = await shelf.library.remove_rendition(row.id, "ursula", "360p")
    assert status_of(row, "360p") == "cancelled"
    shelf.tools.hold.set()
    await shelf.library.idle()
    row = await shelf.row(row.id)
    assert (status_of(row, "360p"), status_of(row, "240p")) == ("cancelled", "done")
    assert not [key for key in await shelf.keys() if "360p" in key]
    await shelf.library.process(row.id, "ursula", ["360p"])  # and may be wanted again
    await shelf.library.idle()
    assert status_of(await shelf.row(row.id), "360p") == "done"
    await shelf.library.remove_rendition(row.id, "ursula", "360p")
    assert not [key for key in await shelf.keys() if "360p" in key]


async def test_attack_renditions_of_many_files_wished_for_at_once(
    shelf: Shelf, films: Path
) -> None:
    """Each of the requests could see that nothing waits yet."""
    row = await shelf.brought(films / "plain.mp4")
    shelf.tools.hold = asyncio.Event()
    ids = [new_media_id() for _ in range(MOST_RENDITIONS + 5)]
    for media_id in ids:
        await shelf.catalog.media.create(replace(row, id=media_id))
    wishes = (shelf.library.process(media_id, "ursula", ["240p"]) for media_id in ids)
    answers = await asyncio.gather(*wishes, return_exceptions=True)
    refused = [each for each in answers if isinstance(each, TooManyRenditions)]
    assert (len(refused), len(answers) - len(refused)) == (5, MOST_RENDITIONS)
    assert refused[0].details == {"limit": MOST_RENDITIONS, "waiting": MOST_RENDITIONS}


async def test_a_job_that_fails_twice_fails_the_rendition(shelf: Shelf, films: Path) -> None:
    row = await shelf.brought(films / "plain.mp4")
    shelf.tools.failures += [
        JobPostponed("no memory"),
        JobFailed("broke"),
        JobFailed("broke again"),
    ]
    await shelf.library.process(row.id, "ursula", ["240p"])
    await shelf.library.idle()
    rendition = (await shelf.row(row.id)).renditions[0]
    assert (rendition["status"], rendition["error"]) == ("failed", "broke again")
    assert (await shelf.row(row.id)).status == "ready"


async def test_a_full_disk_waits(shelf: Shelf, films: Path) -> None:
    free = [0, 1 << 40]
    library = shelf.another_library(free=lambda _: free.pop(0) if len(free) > 1 else free[0])
    row = await shelf.brought(films / "plain.mp4")
    await library.process(row.id, "ursula", ["240p"])
    await library.idle()
    await library.close()
    assert status_of(await shelf.row(row.id), "240p") == "done"
    assert len(free) == 1


async def test_attack_a_small_film_that_becomes_a_large_file(shelf: Shelf, films: Path) -> None:
    """It ends where the room does that others need, and that is the rendition's failure alone."""
    free = cycle([1 << 40, 0])  # before the job, and when it is told how much it may write
    library = shelf.another_library(free=lambda _: next(free))
    row = await shelf.brought(films / "plain.mp4")
    await library.process(row.id, "ursula", ["240p"])
    await library.idle()
    await library.close()
    (rendition,) = (await shelf.row(row.id)).renditions
    assert rendition["status"] == "failed"
    assert "too large" in rendition["error"].lower(), rendition["error"]
    assert not list((shelf.folder / "scratch").rglob("*.mp4*"))


async def test_a_lost_original_fails_the_rendition(shelf: Shelf, films: Path) -> None:
    row = await shelf.brought(films / "plain.mp4")
    await shelf.store.delete(row.storage_key)
    await shelf.library.process(row.id, "ursula", ["240p"])
    await shelf.library.idle()
    assert status_of(await shelf.row(row.id), "240p") == "failed"


async def test_looking_again_finds_a_file_that_was_spoilt(shelf: Shelf, films: Path) -> None:
    row = await shelf.brought(films / "plain.mp4")
    await shelf.library.process(row.id, "ursula")
    assert (await shelf.row(row.id)).status == "processing"
    await shelf.library.idle()
    assert (await shelf.row(row.id)).status == "ready"

    async def noise():  # type: ignore[no-untyped-def]
        yield b"not a film any more"

    await shelf.store.put_stream(row.storage_key, noise(), "video/mp4")
    await shelf.library.process(row.id, "ursula")
    await shelf.library.idle()
    row = await shelf.row(row.id)
    assert row.status == "failed"
    assert "ALLOWED_VIDEO_FORMATS" in (row.error or "")


# --- the trash ------------------------------------------------------------------------------------


async def test_deleted_restored_and_purged(shelf: Shelf, films: Path) -> None:
    kept = await shelf.brought(films / "plain.mp4")
    row = await shelf.brought(films / "plain.webm", "other.webm")
    await shelf.library.captions.put(row.id, "ursula", "de", VTT)
    await shelf.library.delete(row.id, "ursula")
    assert [each.id for each in (await shelf.library.find("ursula")).items] == [kept.id]
    with pytest.raises(MediaDeleted):
        await shelf.library.process(row.id, "ursula", ["240p"])
    await shelf.library.restore(row.id, "ursula")
    assert (await shelf.library.get(row.id, "ursula")).deleted_at is None
    await shelf.library.delete(row.id, "ursula")
    shelf.now += timedelta(days=29)
    assert await shelf.library.purge() == 0
    shelf.now += timedelta(days=2)
    assert await shelf.library.purge() == 1
    with pytest.raises(UnknownMedia):
        await shelf.library.get(row.id, "ursula")
    assert await shelf.keys() == [kept.storage_key]


async def test_a_store_that_is_down_keeps_the_row_that_names_its_objects(
    shelf: Shelf, films: Path
) -> None:
    row = await shelf.brought(films / "plain.mp4")
    await shelf.library.delete(row.id, "ursula")
    shelf.now += timedelta(days=31)
    right = shelf.store.delete_many

    async def refuse(keys: object) -> None:
        raise StoreUnavailable("down")

    shelf.store.delete_many = refuse  # type: ignore[method-assign, assignment]
    assert await shelf.library.purge() == 0
    assert (await shelf.row(row.id)).deleted_at is not None
    shelf.store.delete_many = right  # type: ignore[method-assign]
    assert await shelf.library.purge() == 1


async def test_nobody_brings_back_what_is_being_removed_for_good(shelf: Shelf, films: Path) -> None:
    """Some of its objects may be gone by then."""
    row = await shelf.brought(films / "plain.mp4")
    await shelf.library.delete(row.id, "ursula")
    shelf.now += timedelta(days=30)
    await shelf.library.restore(row.id, "ursula")  # on the last day
    await shelf.library.delete(row.id, "ursula")
    shelf.now += timedelta(days=30, seconds=1)
    right, removing, goes_on = shelf.store.delete_many, asyncio.Event(), asyncio.Event()

    async def fail(keys: object) -> None:
        removing.set()
        await goes_on.wait()
        raise StoreUnavailable("down")

    shelf.store.delete_many = fail  # type: ignore[method-assign, assignment]
    purging = asyncio.create_task(shelf.library.purge())
    await removing.wait()
    for _ in range(2):  # while it is removed, and when that did not work
        for attempt in (
            shelf.library.restore(row.id, "ursula"),
            shelf.library.delete(row.id, "ursula"),
            shelf.library.get(row.id, None),
        ):
            with pytest.raises(UnknownMedia):
                await attempt
        assert (await shelf.library.find("ursula", deleted=True)).total == 0
        goes_on.set()
        assert await purging == 0
    shelf.store.delete_many = right  # type: ignore[method-assign]
    assert await shelf.library.purge() == 1


async def test_a_wish_that_comes_while_an_older_row_is_looked_at_is_not_lost(
    shelf: Shelf, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await shelf.brought(films / "plain.mp4")
    await shelf.library.idle()
    get, has_read, goes_on = shelf.catalog.media.get, asyncio.Event(), asyncio.Event()
    asking = asyncio.current_task()

    async def get_slowly(media_id: str) -> MediaRow | None:
        found = await get(media_id)
        if asyncio.current_task() is not asking:  # it is the work in the background
            has_read.set()
            await goes_on.wait()
        return found

    monkeypatch.setattr(shelf.catalog.media, "get", get_slowly)
    await shelf.library.restore(row.id, "ursula")  # nothing is to be done, which is looked at
    await has_read.wait()
    shelf.tools.failures = [JobFailed("it hurts")] * 2
    await shelf.library.process(row.id, "ursula", ["240p"])
    goes_on.set()
    await shelf.library.idle()
    assert [each["status"] for each in (await shelf.row(row.id)).renditions] == ["failed"]


async def test_a_purge_ends_what_is_made(shelf: Shelf, films: Path) -> None:
    row = await shelf.brought(films / "plain.mp4")
    shelf.tools.hold = asyncio.Event()
    shelf.tools.begun.clear()
    await shelf.library.process(row.id, "ursula", ["240p"])
    await shelf.tools.begun.wait()
    await shelf.library.delete(row.id, "ursula")
    shelf.now += timedelta(days=31)
    assert await shelf.library.purge() == 1
    await shelf.library.idle()
    assert await shelf.keys() == []


# --- whose it is ----------------------------------------------------------------------------------


async def test_another_users_file_is_out_of_reach(shelf: Shelf, films: Path) -> None:
    row = await shelf.brought(films / "plain.mp4")
    library = shelf.library
    for attempt in (
        library.get(row.id, "mallory"),
        library.delete(row.id, "mallory"),
        library.restore(row.id, "mallory"),
        library.process(row.id, "mallory", ["240p"]),
        library.describe(row.id, "mallory", filename="mine.mp4"),
        library.remove_rendition(row.id, "mallory", "240p"),
        library.attach(row.id, "mallory", "course", None, to=True),
        library.watched(row.id, "mallory", 5.0, begins=True),
        library.captions.put(row.id, "mallory", "de", VTT),
        library.captions.remove(row.id, "mallory", "de"),
    ):
        with pytest.raises(NotYourMedia):
            await attempt
    (outcome,) = await library.batch([row.id], "mallory", "delete")
    assert isinstance(outcome.error, NotYourMedia)
    assert await shelf.row(row.id) == row


# --- captions -------------------------------------------------------------------------------------

VTT = b"WEBVTT\n\n00:01.000 --> 00:02.500\nHello\n\n00:03.000 --> 01:00:04.000 align:start\nYou\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"1\n00:00:01,000 --> 00:00:02,000\nSRT\n", "first line"),
        (b"WEBVTT\n\n00:02.000 --> 00:01.000\nx\n", "line 3"),
        (b"WEBVTT\n\nno cue at all\n", "no cue"),
        (b"WEBVTT\n\n1 --> 2\nx\n", "line 3"),
        (b"\xff\xfeW\x00", "UTF-8"),
        (b"WEBVTT" + b"x" * (1 << 20), "1048576"),
        (b"WEBVTTX\n\n00:01.000 --> 00:02.000\nx", "first line"),
    ],
)
async def test_captions_that_are_none(shelf: Shelf, films: Path, data: bytes, words: str) -> None:
    row = await shelf.brought(films / "plain.mp4")
    with pytest.raises(BadCaptions, match=words):
        await shelf.library.captions.put(row.id, "ursula", "de", data)
    assert len(await shelf.keys()) == 1


@pytest.mark.parametrize("language", ["../etc", "d", "de/../../x", "", "de-", "a" * 20])
async def test_a_language_never_becomes_another_key(
    shelf: Shelf, films: Path, language: str
) -> None:
    row = await shelf.brought(films / "plain.mp4")
    with pytest.raises(BadCaptions):
        await shelf.library.captions.put(row.id, "ursula", language, VTT)
    assert len(await shelf.keys()) == 1
