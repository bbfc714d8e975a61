"""A recording of eight hours in the library's player, as long as nobody waits for it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Response, expect

from tests.e2e.left_recordings import finished
from tests.recorder.long_media import write_recording
from tests.rig.browser import faults_of, visitor
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import server_token

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.long,
    pytest.mark.timeout(1800),
]

HOURS = 8
TOTAL = HOURS * 3600
ROOM = "a long day"
SOON = 20_000  # milliseconds
START_WITHIN = 2.0  # seconds
SEEK_WITHIN = 1.0

# From the press of the mouse until a picture is shown that belongs where was pressed: on the time
# line there, within a second, else (the button) at the beginning. Seconds of both; null in the end.
ARM = """
([total, patience]) => {
  window.landing = new Promise((done) => {
    const video = document.querySelector("[data-testid=clip]");
    const onPress = ({ clientX, target }) => {
      const begun = performance.now();
      const line = target.closest("[data-testid=timeline]");
      const box = line && line.getBoundingClientRect();
      const wanted = line ? ((clientX - box.left) / box.width) * total : 0;
      const reach = line ? 1 : 60;
      const late = setTimeout(() => done(null), patience * 1000);
      const look = (_now, { mediaTime }) => {
        if (Math.abs(mediaTime - wanted) > reach || video.paused)
          return video.requestVideoFrameCallback(look);
        clearTimeout(late);
        done({ after: (performance.now() - begun) / 1000, wanted, mediaTime });
      };
      video.requestVideoFrameCallback(look);
    };
    document.addEventListener("pointerdown", onPress, { capture: true, once: true });
  });
}
"""


@dataclass(frozen=True, slots=True)
class LongDay:
    server: MediaserverProcess
    id: str
    row: dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def day(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LongDay]:
    def write(folder: Path) -> None:
        write_recording(folder, hours=HOURS)

    folder = tmp_path_factory.mktemp("long") / "data"
    async with finished(folder, {ROOM: write}, within=900) as (server, ids):
        async with Rest(server.base_url, server_token()) as rest:
            row = await rest.get(f"/api/v1/recordings/{ids[ROOM]}")
        yield LongDay(server, ids[ROOM], row)


async def opened(page: Page, day: LongDay) -> None:
    await page.goto(day.server.sign_in_link)
    await expect(page.get_by_test_id("room-name")).to_be_visible(timeout=SOON)
    await page.get_by_role("link", name="Recordings").click()
    await page.get_by_test_id("open-recording").click()
    await expect(page.get_by_test_id("timeline")).to_be_visible(timeout=SOON)


async def landed_after_press(page: Page, test_id: str, share: float) -> dict[str, float] | None:
    """Presses at a share of the element's width; what `ARM` has seen then."""
    await page.evaluate(ARM, [TOTAL, 20])
    box = await page.get_by_test_id(test_id).bounding_box()
    assert box is not None
    await page.mouse.click(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
    landing: dict[str, float] | None = await page.evaluate("window.landing")
    return landing


async def test_the_playlist_is_under_a_megabyte_and_whole(day: LongDay) -> None:
    original = day.row["files"][0]
    assert original["hls"] is not None
    async with Rest(day.server.base_url) as anybody:
        status, headers, body = await anybody.bytes(original["hls"])
        assert status == 200
        assert headers["Content-Type"].startswith("application/vnd.apple.mpegurl")
        assert len(body) < 1_000_000, len(body)
        text = body.decode()
        durations = [float(found) for found in re.findall(r"#EXTINF:([\d.]+),", text)]
        assert sum(durations) == pytest.approx(TOTAL, abs=2)
        *_, (size, offset, name) = re.findall(r"#EXT-X-BYTERANGE:(\d+)@(\d+)\n([^#\n]+)\n", text)
        folder = urlsplit(original["hls"]).path.rpartition("/")[0]
        last = f"bytes={offset}-{int(offset) + int(size) - 1}"
        status, _, segment = await anybody.bytes(f"{folder}/{name}", headers={"Range": last})
        assert (status, len(segment), segment[4:8]) == (206, int(size), b"moof")


async def test_it_starts_in_two_seconds_and_seeks_in_one(
    day: LongDay, browser: Browser, record_property: Any
) -> None:
    async with visitor(browser) as person:
        page = await person.new_page()
        faults, answers = faults_of(page), list[Response]()

        def note(answer: Response) -> None:
            answers.append(answer)

        page.on("response", note)
        await opened(page, day)
        started = await landed_after_press(page, "play-pause", 0.5)
        assert started is not None, "it did not start in 20 s"
        record_property("start_seconds", round(started["after"], 3))
        landings = {}
        for share in (0.25, 0.5, 0.9):
            landed = await landed_after_press(page, "timeline", share)
            assert landed is not None, f"no picture within 1 s of {share:.0%} in 20 s"
            assert landed["wanted"] == pytest.approx(share * TOTAL, abs=60)
            landings[share] = landed
            record_property(f"seek_{share:.0%}_seconds", round(landed["after"], 3))
        print("start", started, "seeks", landings)
        media = {file["id"] for file in day.row["files"] if file["role"] == "media"}
        ranged = [a for a in answers if a.status == 206 and any(m in a.url for m in media)]
        assert ranged, "the playlist's media was not what played"
        assert faults == []
    assert started["after"] <= START_WITHIN, started
    for share, landed in landings.items():
        assert landed["after"] <= SEEK_WITHIN, (share, landed)
