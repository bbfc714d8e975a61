"""Making a recording of known content, and holding it against what was sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.media_truth import FLASH_FRAMES, Truth
from tests.rig.known_content import KnownContentPage, Snapshot
from tests.rig.rest import Rest, originals

FPS = 30


@dataclass(frozen=True, slots=True)
class Recorded:
    """A finished recording of one page, and the sender's own account of the same time.

    This machine's clock when the start was `asked` for, when the server said that it records
    (`began`), and when the stop was asked for (`ended`); `first` and `last` are the page's counts
    at the latter two.
    """

    row: dict[str, Any]
    path: Path
    drawn: list[int]
    first: Snapshot
    last: Snapshot
    asked: datetime
    began: datetime
    ended: datetime


async def record(
    rest: Rest, room: str, page: KnownContentPage, seconds: float, folder: Path
) -> Recorded:
    """Record the room for some seconds of the page's clock and fetch its one file."""
    asked = datetime.now(UTC)
    recording = await rest.start_recording(room)
    began, first = datetime.now(UTC), await page.snapshot()
    await page.elapse(seconds)
    last, ended = await page.snapshot(), datetime.now(UTC)
    row = await rest.stop_recording(room)
    assert row["id"] == recording
    (file,) = originals(row)
    path = await fetch(rest, file, folder)
    return Recorded(row, path, await page.drawn(), first, last, asked, began, ended)


async def fetch(rest: Rest, file: dict[str, Any], folder: Path) -> Path:
    """Download a recording's file through its own link, without a token."""
    async with Rest(rest.base_url) as anybody:
        status, _, body = await anybody.bytes(file["url"])
    assert status == 200, body[:300]
    suffix = ".mp4" if file["contentType"] == "video/mp4" else ".webm"
    path = folder / f"{file['id']}{suffix}"
    path.write_bytes(body)
    return path


def assert_complete(truth: Truth, made: Recorded) -> None:
    """Pictures in order, at most 1 % of those that were sent missing, from start to stop.

    What was sent is the sender's own count of encoded frames between the two looks at it; the
    encoder may be a picture or two behind the canvas at either of them.
    """
    assert truth.backwards == 0
    first, last = truth.counters[0], truth.counters[-1]
    begun, ended = made.drawn[made.first.drawn - 1], made.drawn[made.last.drawn - 1]
    assert first <= begun + FPS / 2, "the beginning is missing"
    assert last >= ended - FPS / 4, "the end is missing"
    before, after = (look.sent("video", "framesEncoded") for look in (made.first, made.last))
    encoded = int(after - before)
    kept = len({number for number in truth.counters if begun < number <= ended})
    assert encoded >= 0.8 * (ended - begun), f"the sender encoded only {encoded}: no measurement"
    assert kept >= encoded - max(2, 0.01 * encoded), f"{kept} of {encoded} sent"


def assert_flashes_and_beeps(truth: Truth) -> None:
    """One flash and one beep for every second, at the picture they belong to.

    A sender that had too much to do may not have sent one of the pictures of a flash
    (`assert_complete` counts what is missing of those that it sent).
    """
    first, last = truth.counters[0], truth.counters[-1]
    seconds = [n for n in range(first, last + 1) if n % FPS == 0 and n > first]
    origin = first / FPS  # the content's clock at the file's first picture
    there = set(truth.counters)
    bright = [n for n in seconds if there & set(range(n, n + FLASH_FRAMES))]
    flashes = [round(at + origin) for at in truth.flashes_s]
    assert flashes == [n // FPS for n in bright], truth.flashes_s
    # a beep may be cut by the file's ends; every one in between must be there, once
    inner = range(seconds[0] // FPS, (last - FPS // 5) // FPS + 1)
    beeps = [round(at + origin) for at in truth.beeps_s]
    assert [second for second in beeps if second in inner] == list(inner), truth.beeps_s
