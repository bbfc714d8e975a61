"""A recording is watched in the library while it runs, in a second browser, from its beginning."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.rig.browser import faults_of, visitor
from tests.rig.known_content import known_content_page
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token
from tests.rig.waiting import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("server_unharmed"),
]

Server = MediaserverProcess

# Reads the number in every picture that the page shows (`tests/media_truth.py` says how it is drawn).
WATCH = """
() => {
  window.shown = [];
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const watched = new WeakSet();
  const read = (video, now) => {
    if (video.videoWidth > 0) {
      canvas.width = video.videoWidth;
      canvas.height = 1;
      const row = Math.floor(video.videoHeight / 18);
      pen.drawImage(video, 0, row, video.videoWidth, 1, 0, 0, video.videoWidth, 1);
      const pixels = pen.getImageData(0, 0, video.videoWidth, 1).data;
      let counter = 0;
      for (let bit = 0; bit < 16; bit += 1) {
        const x = Math.floor(((bit + 0.5) * video.videoWidth) / 16);
        counter = counter * 2 + (pixels[4 * x] > 128 ? 1 : 0);
      }
      window.shown.push([counter, video.currentTime, now]);
    }
    video.requestVideoFrameCallback((at) => read(video, at));
  };
  setInterval(() => {
    for (const video of document.querySelectorAll("[data-testid=live-video]")) {
      if (watched.has(video)) continue;
      watched.add(video);
      video.requestVideoFrameCallback((at) => read(video, at));
    }
  }, 50);
}
"""


class Watcher:
    """The library's page of a running recording."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def counters(self) -> list[int]:
        """The numbers of all pictures shown since the last `forget`."""
        found: list[int] = await self.page.evaluate("shown.map((one) => one[0])")
        return found

    async def forget(self) -> None:
        await self.page.evaluate("shown.length = 0")

    async def number(self, name: str) -> float:
        player = self.page.get_by_test_id("live-player")
        return float(await player.get_attribute(f"data-{name}") or "nan")

    async def shows(self, count: int, within: float) -> list[int]:
        async def probe() -> list[int] | None:
            seen = await self.counters()
            return seen if len(seen) >= count else None

        seen: list[int] = await until(probe, within=within, every=0.1, what="pictures")
        return seen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(server: Server) -> AsyncIterator[Rest]:
    async with Rest(server.base_url, server_token()) as caller:
        yield caller


@pytest.mark.parametrize("codec", ["vp8", pytest.param("h264", marks=pytest.mark.long)])
async def test_a_running_recording_is_watched_from_its_beginning(
    server: Server, browser: Browser, pages_url: str, rest: Rest, room: str, codec: str
) -> None:
    async with known_content_page(browser, pages_url) as alice, visitor(browser) as context:
        await alice.join(server.ws_url, participant_token(room, "alice"), "alice", codec=codec)
        began = await alice.snapshot()
        recording = await rest.start_recording(room)
        await alice.elapse(6)  # the viewer comes late, and sees the beginning all the same

        page = await context.new_page()
        faults = faults_of(page)
        await page.goto(f"{server.base_url}/#token={server_token()}")
        await page.goto(f"{server.base_url}/recordings/{recording}")
        await page.evaluate(WATCH)
        watcher = Watcher(page)

        first = await watcher.shows(60, within=20)
        asked = (await alice.drawn())[began.drawn]
        assert first[0] <= asked + 60, f"began with {first[0]}, the recording with {asked}"
        assert in_order(first), first

        await page.get_by_test_id("go-live").click()
        await until(
            lambda: near_live(watcher), within=20, every=0.2, what="the picture is near the call"
        )
        await watcher.forget()
        live = await watcher.shows(30, within=20)
        drawn = (await alice.drawn())[-1]
        assert in_order(live), live
        assert drawn - live[-1] < 6 * 30, f"{live[-1]} is shown, {drawn} is drawn"

        await watcher.forget()
        await page.get_by_test_id("live-seek").focus()
        await page.keyboard.press("Home")
        again = await watcher.shows(30, within=20)
        start = [number for number in again if number <= first[0] + 90]
        assert len(start) >= 20, again
        assert in_order(start), start

        row = await rest.stop_recording(room)
        assert row["id"] == recording
        await page.wait_for_selector("[data-testid=live-player]", state="detached", timeout=30_000)
        assert not faults, faults


def in_order(numbers: list[int]) -> bool:
    return all(a <= b for a, b in itertools.pairwise(numbers))


async def near_live(watcher: Watcher) -> bool:
    loading = await watcher.page.get_by_test_id("live-player").get_attribute("data-loading")
    return loading == "false" and await watcher.number("delay") < 6
