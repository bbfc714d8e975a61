"""Recording in the browser itself, beside the server: reloads, lost networks, refusals, playback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Response, Route, expect

from tests.e2e.recordings import fetch
from tests.e2e.test_web_app import enter_as_host, invite_link, join
from tests.rig.browser import faults_of, visitor
from tests.rig.media import decode_errors
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token
from tests.rig.waiting import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("server_unharmed"),
]

ROOT = Path(__file__).parents[2]
SOON = 20_000  # milliseconds
PHONE = {"width": 390, "height": 844}

# Counts what recorders hand out, in a place that a reload does not empty.
COUNT_MEDIA = """
const Original = window.MediaRecorder;
window.MediaRecorder = class extends Original {
  constructor(...of) {
    super(...of);
    this.addEventListener("dataavailable", ({ data }) => {
      const before = Number(sessionStorage.getItem("recorded") ?? 0);
      sessionStorage.setItem("recorded", String(before + data.size));
    });
  }
};
"""
KEPT = """
() => new Promise((done, fail) => {
  const request = indexedDB.open("local-recorder");
  request.onerror = () => fail(request.error);
  request.onsuccess = () => {
    const database = request.result;
    const names = [...database.objectStoreNames];
    if (names.length === 0) return done({});
    const transaction = database.transaction(names);
    const counts = {};
    for (const name of names) {
      transaction.objectStore(name).count().onsuccess = ({ target }) => (counts[name] = target.result);
    }
    transaction.oncomplete = () => { database.close(); done(counts); };
  };
})
"""
NOTHING = {"sessions": 0, "parts": 0, "chunks": 0}


@dataclass
class Traffic:
    """What a browser sent of its own recording, and how it was answered."""

    acknowledged: dict[str, int] = field(default_factory=dict)  # bytes by "part/sequence"
    sent_again: list[str] = field(default_factory=list)
    completed: list[dict[str, int]] | None = None

    def watch(self, context: BrowserContext) -> None:
        context.on("request", lambda request: self._sent(request.method, request.url))
        context.on("response", self._answered)

    def of_part(self, part: int) -> int:
        return sum(name.startswith(f"{part}/") for name in self.acknowledged)

    def _sent(self, method: str, url: str) -> None:
        if method == "PUT" and "/chunks/" in url and _name(url) in self.acknowledged:
            self.sent_again.append(_name(url))

    async def _answered(self, response: Response) -> None:
        method, url, status = response.request.method, response.url, response.status
        if method == "PUT" and "/chunks/" in url and status in (200, 201):
            sent = await response.request.all_headers()
            self.acknowledged[_name(url)] = int(sent.get("content-length", 0))
        if url.endswith("/complete") and "/chunks/" in url and status == 202:
            self.completed = json.loads(response.request.post_data or "{}")["parts"]


def _name(url: str) -> str:
    return "/".join(url.split("/")[-2:])


@asynccontextmanager
async def person(browser: Browser) -> AsyncIterator[tuple[BrowserContext, Traffic]]:
    async with visitor(browser) as context:
        await context.add_init_script(COUNT_MEDIA)
        traffic = Traffic()
        traffic.watch(context)
        yield context, traffic


async def start_with_copy(page: Page) -> None:
    """The host's choice, and the press of the button."""
    await page.get_by_test_id("record-options").click()
    await page.get_by_label("Record locally in best quality").check()
    await page.keyboard.press("Escape")
    await page.get_by_test_id("record-button").click()
    await expect(page.get_by_test_id("rec-mark")).to_be_visible(timeout=SOON)
    await expect(page.get_by_test_id("local-copy")).to_have_attribute(
        "data-phase", "recording", timeout=SOON
    )


async def stop(page: Page) -> None:
    await page.get_by_test_id("record-button").click()
    await expect(page.get_by_test_id("rec-mark")).to_have_count(0, timeout=SOON)


async def emptied(page: Page) -> None:
    """This browser keeps nothing any more."""

    async def empty() -> bool:
        seen.append(await page.evaluate(KEPT))
        return seen[-1] == NOTHING

    seen: list[Any] = []
    try:
        await until(empty, within=20, every=0.2, what="an empty journal")
    except AssertionError as late:
        raise AssertionError(f"{late}: {seen[-1]}") from None


async def finished(server: MediaserverProcess, room: str, parts: int) -> dict[str, Any]:
    """The room's recording with the files of its client copies."""
    async with Rest(server.base_url, server_token()) as rest:
        (found,) = (await rest.get("/api/v1/recordings", room=room))["items"]
        row = await rest.recorded(found["id"], within=60)

        async def whole() -> bool:
            seen.append(await rest.get(f"/api/v1/recordings/{row['id']}"))
            return len(copies_of(seen[-1])) >= parts

        seen: list[dict[str, Any]] = []
        try:
            await until(whole, within=30, what=f"{parts} client files")
        except AssertionError as late:
            raise AssertionError(f"{late}: {seen[-1]}") from None
        return seen[-1]


def copies_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [file for file in row["files"] if file["kind"] == "client" and not file.get("role")]


def everything(traffic: Traffic) -> set[str]:
    """The chunks that the browser said there are."""
    assert traffic.completed is not None
    return {
        f"{end['part']}/{sequence}"
        for end in traffic.completed
        for sequence in range(end["lastSequence"] + 1)
    }


def arrived(row: dict[str, Any]) -> tuple[int, int]:
    """How many chunks and bytes the server has made files of."""
    (client,) = row["integrity"]["clients"]
    parts = client["parts"]
    return sum(part["chunks"] for part in parts), sum(part["bytes"] for part in parts)


async def assert_plays(server: MediaserverProcess, row: dict[str, Any], folder: Path) -> None:
    async with Rest(server.base_url, server_token()) as rest:
        for file in copies_of(row):
            signed = await rest.get(f"/api/v1/recordings/{row['id']}", includeSignedUrl="true")
            (fresh,) = (each for each in signed["files"] if each["id"] == file["id"])
            assert file["durationSeconds"] > 1
            assert decode_errors(await fetch(rest, fresh, folder)) == 0


async def test_a_reload_in_the_middle_loses_nothing_and_sends_nothing_twice(
    server: MediaserverProcess, browser: Browser, room: str, tmp_path: Path
) -> None:
    async with person(browser) as (context, traffic):
        page = await context.new_page()
        faults = faults_of(page)
        page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
        await enter_as_host(page, server, room)
        await start_with_copy(page)
        await until(lambda: traffic.of_part(0) >= 3, within=20, what="chunks of part 0")

        last = max(int(name.split("/")[0]) for name in traffic.acknowledged)
        await page.reload()
        await expect(page.get_by_test_id("local-copy")).to_have_attribute(
            "data-phase", "recording", timeout=SOON
        )

        def goes_on() -> bool:  # on a busy machine a first part may end when the camera comes
            return any(traffic.of_part(last + more) >= 3 for more in range(1, 5))

        await until(goes_on, within=20, what="the next part")
        await stop(page)
        await until(lambda: traffic.completed is not None, within=20, what="completion")
        await emptied(page)

        assert traffic.sent_again == []
        row = await finished(server, room, parts=2)
        recorded = int(await page.evaluate("sessionStorage.getItem('recorded')"))
        assert arrived(row) == (len(everything(traffic)), recorded)
        (client,) = row["integrity"]["clients"]
        assert client["failures"] == []
        assert len(copies_of(row)) == sum(part["container"] is not None for part in client["parts"])
        await assert_plays(server, row, tmp_path)
        await watches_either(page, row)
        assert faults == []


async def watches_either(page: Page, row: dict[str, Any]) -> None:
    """The person's own recording is played unless the server's is chosen."""
    await page.evaluate("(path) => location.assign(path)", f"/recordings/{row['id']}")
    await expect(page.get_by_test_id("recording-player")).to_be_visible(timeout=SOON)
    own = {file["id"] for file in copies_of(row)}
    await page.get_by_test_id("play-pause").click()
    tile = page.get_by_test_id("scene-tile")

    async def showing() -> str:
        said = await tile.first.get_attribute("data-showing")
        return (said or "").split("@")[0]

    async def own_shown() -> bool:  # where there is nothing of it, the server's fills in
        return await showing() in own

    await until(own_shown, within=20, what="the own recording")
    await page.get_by_test_id("versions").click()
    choice = page.get_by_test_id("version-choice")
    assert await choice.get_attribute("data-version") == "own", row["integrity"]
    await choice.get_by_label("Server’s recording").check()
    await expect(choice).to_have_attribute("data-version", "server")

    async def server_shown() -> bool:
        return await showing() not in {*own, ""}

    await until(server_shown, within=10, what="the server's file")


@pytest.mark.long
async def test_what_is_recorded_without_network_arrives_when_it_is_back(
    server: MediaserverProcess, browser: Browser, room: str, tmp_path: Path
) -> None:
    async with person(browser) as (context, traffic):
        page = await context.new_page()
        await enter_as_host(page, server, room)
        await start_with_copy(page)
        await until(lambda: traffic.of_part(0) >= 1, within=20, what="the first chunk")
        await context.set_offline(True)

        async def gathered() -> bool:
            return int((await page.evaluate(KEPT))["chunks"]) >= 5

        await until(gathered, within=20, what="chunks in the journal")
        await expect(page.get_by_test_id("local-copy")).to_contain_text(" of ")
        await context.set_offline(False)
        await expect(page.get_by_test_id("rec-mark")).to_be_visible(timeout=SOON)
        await stop(page)
        await until(lambda: traffic.completed is not None, within=40, what="completion")
        await emptied(page)
        recorded = int(await page.evaluate("sessionStorage.getItem('recorded')"))
        row = await finished(server, room, parts=1)
        assert arrived(row) == (len(everything(traffic)), recorded)
        await assert_plays(server, row, tmp_path)


async def test_the_next_visit_sends_what_the_last_could_not(
    server: MediaserverProcess, browser: Browser, room: str
) -> None:
    async with person(browser) as (context, traffic):
        page = await context.new_page()
        await enter_as_host(page, server, room)
        await start_with_copy(page)
        await until(lambda: traffic.of_part(0) >= 1, within=20, what="the first chunk")
        await context.route("**/chunks/**", lambda route: route.abort())

        async def gathered() -> bool:
            return int((await page.evaluate(KEPT))["chunks"]) >= 3

        await until(gathered, within=20, what="chunks in the journal")
        await page.get_by_test_id("leave").click()
        copy = page.get_by_test_id("copy")
        await expect(copy).to_have_attribute("data-phase", "sending", timeout=SOON)
        await expect(copy).to_contain_text("No connection to the server", timeout=SOON)
        await page.close(run_before_unload=False)
        assert traffic.completed is None

        async with Rest(server.base_url, server_token()) as rest:
            await rest.stop_recording(room)
        await context.unroute("**/chunks/**")
        visit = await context.new_page()
        await visit.goto(server.sign_in_link)
        await expect(visit.get_by_test_id("copy-dock")).to_be_visible(timeout=SOON)
        await expect(visit.get_by_test_id("copy")).to_have_attribute(
            "data-phase", "done", timeout=SOON
        )
        await emptied(visit)
        # an answer may have been lost with the page; what was completed is all there
        assert set(traffic.acknowledged) <= everything(traffic)


@pytest.mark.long
async def test_what_the_server_refuses_can_be_saved_to_a_file(
    server: MediaserverProcess, browser: Browser, room: str, tmp_path: Path
) -> None:
    async def refuse(route: Route) -> None:
        error = {"code": "chunk_conflict", "message": "other bytes"}
        await route.fulfill(status=409, json={"success": False, "error": error})

    async with person(browser) as (context, traffic):
        page = await context.new_page()
        await enter_as_host(page, server, room)
        await start_with_copy(page)
        await until(lambda: traffic.of_part(0) >= 3, within=20, what="some chunks")
        await page.route(lambda url: "/chunks/" in url and url[-1].isdigit(), refuse)
        chip = page.get_by_test_id("local-copy")
        await expect(chip).to_have_attribute("data-phase", "refused", timeout=SOON)
        await page.get_by_test_id("leave").click()
        async with page.expect_download() as downloading:
            await page.get_by_test_id("copy-save").click()
        download = await downloading.value
        assert download.suggested_filename.endswith(".webm")
        path = tmp_path / download.suggested_filename
        await download.save_as(path)
        assert path.read_bytes()[:4] == bytes.fromhex("1a45dfa3"), "the header was not kept"
        await page.get_by_test_id("copy-discard").click()
        await page.get_by_test_id("copy-discard-confirm").click()
        await emptied(page)


async def test_where_browsers_alone_record_a_guest_is_in_it(
    server: MediaserverProcess, browser: Browser, room: str
) -> None:
    async with person(browser) as (host_side, _), person(browser) as (guest_side, traffic):
        host, guest = await host_side.new_page(), await guest_side.new_page()
        await guest.set_viewport_size(PHONE)
        await enter_as_host(host, server, room)
        await guest.goto(await invite_link(host))
        await join(guest, "Gus Guest")
        await expect(guest.get_by_test_id("local-copy")).to_have_count(0)
        await host.get_by_test_id("record-options").click()
        await host.get_by_label("Every browser’s own recording").check()
        await host.keyboard.press("Escape")
        await host.get_by_test_id("record-button").click()
        chip = guest.get_by_test_id("local-copy")
        await expect(chip).to_have_attribute("data-phase", "recording", timeout=SOON)
        await expect(guest.get_by_text("Your browser records you")).to_be_visible()
        await expect(host.get_by_test_id("rec-mark")).to_be_visible(timeout=SOON)
        await until(lambda: traffic.of_part(0) >= 2, within=20, what="chunks of the guest")

        await chip.focus()
        await guest.keyboard.press("Enter")
        await expect(guest.get_by_label("Record locally in best quality")).to_be_focused()
        await guest.keyboard.press("Space")
        await expect(chip).to_have_attribute("data-phase", "off")
        await expect(chip).to_contain_text("Not recorded")
        await guest.keyboard.press("Space")
        await expect(chip).to_have_attribute("data-phase", "recording", timeout=SOON)
        await guest.keyboard.press("Escape")
        await expect(chip).to_be_focused()
        overflow = "document.documentElement.scrollWidth > innerWidth"
        assert not await guest.evaluate(overflow)
        before = traffic.of_part(0)
        await until(lambda: len(traffic.acknowledged) > before, within=20, what="the next part")

        await guest.get_by_test_id("leave").click()
        copy = guest.get_by_test_id("copy")
        await expect(copy).to_contain_text("finished when the recording ends", timeout=SOON)
        assert traffic.completed is None, "nothing more could be recorded after coming back"
        await stop(host)
        await expect(copy).to_have_attribute("data-phase", "done", timeout=SOON)
        await emptied(guest)
        row = await finished(server, room, parts=3)
        assert row["mode"] == "client"
        names = {file["participantName"] for file in row["files"] if not file.get("role")}
        assert "Gus Guest" in names
        assert len(names) == 2
        assert {file["kind"] for file in row["files"] if not file.get("role")} == {"client"}


@pytest.mark.long
async def test_the_documented_page_works_with_the_module_alone(
    server: MediaserverProcess, browser: Browser, room: str
) -> None:
    build = ("npm", "--prefix", "web", "run", "--silent", "build:local-recorder")
    made = await asyncio.create_subprocess_exec(*build, cwd=ROOT)
    assert await made.wait() == 0
    text = (ROOT / "docs/local-recorder.md").read_text()
    document = text.split("```html\n")[1].split("```")[0]
    module = ROOT / "web/dist/local-recorder/index.js"
    async with person(browser) as (context, traffic):
        host = await context.new_page()
        await enter_as_host(host, server, room)
        await expect(host.get_by_test_id("call")).to_have_attribute(
            "data-phase", "connected", timeout=SOON
        )
        async with Rest(server.base_url, server_token()) as rest:
            recording = await rest.start_recording(room)
            page = await context.new_page()
            await page.route(
                lambda url: "/example/?" in url,
                lambda route: route.fulfill(body=document, content_type="text/html"),
            )
            await page.route("**/example/index.js", lambda route: route.fulfill(path=module))
            token = participant_token(room, "extra")
            await page.goto(
                f"{server.base_url}/example/?recording={recording}&participant=extra&token={token}"
            )
            await page.get_by_role("button", name="Record").click()
            await until(lambda: traffic.of_part(0) >= 2, within=20, what="chunks of the page")
            await page.get_by_role("button", name="Stop").click()
            await expect(page.get_by_role("status")).to_contain_text("done", timeout=SOON)
            assert set(traffic.acknowledged) == everything(traffic)
            await rest.stop_recording(room)
        row = await finished(server, room, parts=1)
        assert {file["participantId"] for file in copies_of(row)} == {"extra"}
