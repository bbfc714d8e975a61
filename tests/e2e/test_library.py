"""The library and its player, with recordings that the real server has finished."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.e2e.left_recordings import finished
from tests.recorder.changing_media import SECONDS as CHANGING_SECONDS
from tests.recorder.changing_media import SIZES, changing_track
from tests.recorder.known_media import audio_track, encode_video, video_track
from tests.rig.browser import faults_of, visitor
from tests.rig.known_content import known_content_page
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token
from tests.rig.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON = 20_000  # milliseconds
PAIR = "two people"
LATE = 2.0  # seconds after alice, bob comes
SECONDS = 12
CHANGING = {"vp8": "video/VP8", "h264": "video/H264", "vp9": "video/VP9"}

# Where each file is on the time line that all share, and how it is doing.
PLACES = """
() => Object.fromEntries(
  [...document.querySelectorAll("[data-testid=clip]")].map((video) => [
    video.dataset.fileId,
    { at: video.currentTime, paused: video.paused, seeking: video.seeking, ready: video.readyState },
  ])
)
"""
# Media events don't bubble, but are seen on their way down.
WATCH = """
() => {
  window.seen = { errors: [], sizes: [] };
  const note = ({ target }) => {
    const size = `${target.videoWidth}x${target.videoHeight}`;
    if (target.videoWidth && !window.seen.sizes.includes(size)) window.seen.sizes.push(size);
  };
  document.addEventListener("error", ({ target }) => {
    if (target instanceof HTMLMediaElement)
      window.seen.errors.push(target.error ? target.error.message : "no error given");
  }, true);
  for (const name of ["loadedmetadata", "resize"]) document.addEventListener(name, note, true);
}
"""


@dataclass(frozen=True, slots=True)
class Library:
    server: MediaserverProcess
    ids: dict[str, str]

    async def open(self, page: Page, room: str | None = None) -> None:
        """The library, or one recording in it, as the host."""
        await page.goto(self.server.sign_in_link)
        await expect(page.get_by_test_id("room-name")).to_be_visible(timeout=SOON)
        await page.get_by_role("link", name="Recordings").click()
        if room is not None:
            await self.card(page, room).get_by_test_id("open-recording").click()
            await expect(page.get_by_test_id("recording-player")).to_be_visible(timeout=SOON)

    def card(self, page: Page, room: str) -> Any:
        return page.locator(f"[data-testid=recording-card][data-id={self.ids[room]}]")


def two_people(folder: Path) -> None:
    for person, shift in (("alice", 0.0), ("bob", LATE)):
        frames = encode_video("video/VP8", count=30 * SECONDS)
        video_track(frames=frames, shift=shift, participant=person).write(folder)
        audio_track(SECONDS, shift=shift, participant=person).write(folder)


def changing(mime_type: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        changing_track(mime_type).write(folder)
        audio_track(CHANGING_SECONDS).write(folder)

    return write


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def library(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Library]:
    recordings = {PAIR: two_people, **{name: changing(mime) for name, mime in CHANGING.items()}}
    folder = tmp_path_factory.mktemp("library") / "data"
    async with finished(folder, recordings, within=120) as (server, ids):
        yield Library(server, ids)


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of somebody's own, which must not throw."""
    async with visitor(browser) as person:
        opened = await person.new_page()
        faults = faults_of(opened)
        yield opened
        assert faults == []


async def apart(page: Page) -> float:
    """How far the two people are from being at the same moment, in seconds."""
    places = [place["at"] for place in (await page.evaluate(PLACES)).values()]
    assert len(places) == 2
    return abs(max(places) - min(places) - LATE)


async def moment(page: Page) -> float:
    """Where the recording is: alice is there from its beginning."""
    places: dict[str, Any] = await page.evaluate(PLACES)
    return max(float(place["at"]) for place in places.values())


async def settled(page: Page) -> bool:
    places = (await page.evaluate(PLACES)).values()
    return all(not place["seeking"] and place["ready"] >= 2 for place in places)


async def total_of(page: Page) -> float:
    said = await page.get_by_test_id("timeline").get_attribute("aria-valuemax")
    assert said is not None
    return float(said)


async def click_at(page: Page, share: float) -> None:
    line = page.get_by_test_id("timeline")
    box = await line.bounding_box()
    assert box is not None
    await line.click(position={"x": box["width"] * share, "y": box["height"] / 2})


# --- the list -------------------------------------------------------------------------------------


async def test_a_finished_recording_has_a_poster(library: Library, page: Page) -> None:
    await library.open(page)
    card = library.card(page, PAIR)
    await expect(card).to_have_attribute("data-status", "recorded", timeout=SOON)
    poster = card.get_by_test_id("poster")
    await expect(poster).to_be_visible(timeout=SOON)
    await until(
        lambda: poster.evaluate("image => image.complete && image.naturalWidth > 0"),
        within=10,
        what="the poster is shown",
    )
    await expect(card).to_contain_text("2 people")


async def test_the_list_is_filtered(library: Library, page: Page) -> None:
    await library.open(page)
    cards = page.get_by_test_id("recording-card")
    await expect(cards).to_have_count(len(library.ids), timeout=SOON)
    await page.get_by_test_id("filter-room").fill(PAIR)
    await expect(cards).to_have_count(1, timeout=SOON)
    await page.get_by_role("button", name="Failed").click()
    await expect(page.get_by_test_id("no-match")).to_be_visible(timeout=SOON)


# --- one recording --------------------------------------------------------------------------------


async def test_all_people_play_on_one_time_line(library: Library, page: Page) -> None:
    await library.open(page, PAIR)
    await page.keyboard.press("Space")

    async def together() -> bool:
        places = (await page.evaluate(PLACES)).values()
        playing = len(places) == 2 and not any(place["paused"] for place in places)
        return playing and await moment(page) > LATE + 1.5 and await apart(page) < 0.12

    await until(together, within=30, what="both play, bob two seconds later than alice")
    await page.keyboard.press("Space")
    await until(
        lambda: page.evaluate(
            "() => [...document.querySelectorAll('video')].every(video => video.paused)"
        ),
        within=20,
        what="both pause",
    )


async def test_seeks_by_mouse_and_by_key_move_everybody(library: Library, page: Page) -> None:
    await library.open(page, PAIR)
    total = await total_of(page)
    assert total == pytest.approx(SECONDS + LATE, abs=1)
    await click_at(page, 0.5)

    async def at(wanted: float, within: float) -> bool:
        if len(await page.evaluate(PLACES)) < 2 or not await settled(page):
            return False
        return abs(await moment(page) - wanted) < within and await apart(page) < 0.06

    await until(lambda: at(total / 2, 0.6), within=15, what="both are in the middle")
    before = await moment(page)
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowLeft")
    await until(lambda: at(before - 5, 0.3), within=15, what="both are five seconds earlier")
    await page.keyboard.press("Home")
    await until(lambda: at_beginning(page), within=15, what="alice is at the beginning")


async def at_beginning(page: Page) -> bool:
    return await moment(page) < 0.1


async def test_pointing_at_the_time_line_shows_what_is_there(library: Library, page: Page) -> None:
    await library.open(page, PAIR)
    line = page.get_by_test_id("timeline")
    box = await line.bounding_box()
    assert box is not None
    regions = set()
    for share in (0.1, 0.5, 0.8):
        await line.hover(position={"x": box["width"] * share, "y": box["height"] / 2})
        picture = page.get_by_test_id("thumbnail")
        await expect(picture).to_be_visible(timeout=SOON)
        regions.add(await picture.get_attribute("data-region"))
    assert len(regions) == 3
    loaded = await picture.evaluate(
        """element => new Promise((done) => {
          const image = new Image();
          image.onload = () => done(image.naturalWidth);
          image.onerror = () => done(0);
          image.src = getComputedStyle(element).backgroundImage.slice(5, -2);
        })"""
    )
    assert loaded >= 160
    await page.mouse.move(0, 0)
    await expect(page.get_by_test_id("preview")).to_have_count(0)
    await line.focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_test_id("thumbnail")).to_be_visible(timeout=SOON)


async def test_the_page_says_how_complete_it_is(library: Library, page: Page) -> None:
    await library.open(page, PAIR)
    panel = page.get_by_test_id("integrity")
    await expect(panel).to_contain_text("packets received", timeout=SOON)
    await expect(panel.get_by_test_id("complete")).to_have_text("Complete")
    await panel.get_by_text("SHA-256 of the files").click()
    await panel.get_by_role("button", name="Copy the hash of alice").click()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert len(copied) == 64
    await expect(panel).to_contain_text(copied)


async def test_one_video_is_made_of_all_people(library: Library, page: Page) -> None:
    await library.open(page, PAIR)
    await page.get_by_test_id("make-video").click()
    form = page.get_by_test_id("render-form")
    await form.get_by_text("Sound only").click()
    await expect(form.get_by_label("Quality")).to_have_count(0)
    await form.get_by_text("Sound only").click()
    await form.get_by_text("Grid").click()
    await page.get_by_test_id("start-render").click()
    render = page.get_by_test_id("render")
    await expect(render).to_have_attribute("data-status", "done", timeout=180_000)
    await expect(page.get_by_test_id("watch-composite")).to_be_visible(timeout=SOON)
    player = page.get_by_test_id("recording-player")
    await page.get_by_test_id("watch-composite").click()
    await expect(player).to_have_attribute("data-scene", "composite")
    await page.get_by_test_id("play-pause").click()
    await until(
        lambda: page.evaluate(
            "past => [...document.querySelectorAll('video')].some(v => v.currentTime > past)",
            LATE + 1,
        ),
        within=20,
        what="the composite plays",
    )
    before = await moment(page)
    await page.get_by_test_id("watch-people").click()
    await expect(player).to_have_attribute("data-scene", "people")
    await until(lambda: later(page, before), within=15, what="people go on at the same moment")


async def later(page: Page, than: float) -> bool:
    return await settled(page) and abs(await moment(page) - than) < 3 and await apart(page) < 0.2


async def test_the_state_of_a_running_recording_is_live(
    library: Library, page: Page, browser: Browser, pages_url: str
) -> None:
    room = "going on"
    async with (
        Rest(library.server.base_url, server_token()) as rest,
        known_content_page(browser, pages_url) as alice,
    ):
        await library.open(page)
        await alice.join(library.server.ws_url, participant_token(room, "alice"), "alice")
        recording = await rest.start_recording(room)
        await page.reload()
        card = page.locator(f"[data-id={recording}]")
        await expect(card).to_have_attribute("data-status", "recording", timeout=SOON)
        await card.get_by_test_id("open-recording").click()
        shown = page.get_by_test_id("recording-page")
        await expect(shown).to_have_attribute("data-status", "recording", timeout=SOON)
        await alice.elapse(3)
        await rest.stop_recording(room)
        await expect(shown).to_have_attribute("data-status", "recorded", timeout=60_000)
        await expect(page.get_by_test_id("recording-player")).to_be_visible(timeout=SOON)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long) if name == "vp9" else name  # a WebM as vp8 is
        for name in CHANGING
    ],
)
async def test_pictures_that_change_their_size_play_to_the_end(
    library: Library, page: Page, name: str
) -> None:
    await library.open(page)
    await expect(library.card(page, name)).to_be_visible(timeout=SOON)
    await page.evaluate(WATCH)
    await library.card(page, name).get_by_test_id("open-recording").click()
    await expect(page.get_by_test_id("recording-player")).to_be_visible(timeout=SOON)
    total = await total_of(page)
    await page.get_by_test_id("play-pause").click()

    async def over() -> bool:
        seen.append(
            (await page.get_by_test_id("player-time").inner_text(), await page.evaluate(PLACES))
        )
        button = page.get_by_test_id("play-pause")
        at = float(await page.get_by_test_id("timeline").get_attribute("aria-valuenow") or 0)
        return "Play" in (await button.get_attribute("aria-label") or "") and at >= total - 0.5

    seen: list[object] = []
    try:
        await until(over, within=CHANGING_SECONDS + 30, what="it has played to its end")
    except AssertionError as stuck:
        raise AssertionError(f"{stuck}: {seen[-1]}, {await page.evaluate('window.seen')}") from None
    found = await page.evaluate("window.seen")
    assert found["errors"] == []
    assert {f"{width}x{height}" for width, height in SIZES} <= set(found["sizes"])
    assert await page.locator("[data-broken]").count() == 0


async def test_a_deleted_recording_is_gone_from_the_list(library: Library, page: Page) -> None:
    await library.open(page, "vp8")
    await page.get_by_test_id("delete").click()
    await page.get_by_test_id("confirm-delete").click()
    await expect(library.card(page, PAIR)).to_be_visible(timeout=SOON)
    await expect(library.card(page, "vp8")).to_have_count(0)
