"""The web application as people use it: a host, a guest by invite link, a call, a recording."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.rig.browser import faults_of, visitor
from tests.rig.media import decode_errors
from tests.rig.server import MediaserverProcess
from tests.rig.waiting import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("server_unharmed"),
]

Server = MediaserverProcess
SOON = 15_000  # milliseconds


async def enter_as_host(page: Page, server: Server, room: str) -> None:
    await page.goto(server.sign_in_link)
    await page.get_by_test_id("room-name").fill(room)
    await page.get_by_test_id("create-room").click()
    await join(page, "Hana Host")


async def join(page: Page, name: str) -> None:
    await page.get_by_test_id("prejoin-name").fill(name)
    await page.get_by_test_id("join-call").click()
    await expect(page.get_by_test_id("leave")).to_be_visible(timeout=SOON)


async def invite_link(page: Page) -> str:
    await page.get_by_test_id("copy-invite").click()
    field = page.get_by_test_id("invite-url")
    await expect(field).to_have_value(re.compile(r"#invite=.+&room="), timeout=SOON)
    link = await field.input_value()
    assert await page.evaluate("navigator.clipboard.readText()") == link
    await page.keyboard.press("Escape")
    return link


async def sees_and_hears(page: Page, tiles: int) -> None:
    """All tiles are there, remote video is being decoded, remote sound has energy."""
    await expect(page.get_by_test_id("tile")).to_have_count(tiles, timeout=SOON)

    async def flows() -> bool:
        stats = await page.evaluate("rigStats()")
        video, audio = (stats["inbound"].get(kind, {}) for kind in ("video", "audio"))
        seen.append((video, audio))
        return bool(video.get("framesDecoded", 0) > 30 and audio.get("totalAudioEnergy", 0) > 0)

    seen: list[object] = []
    try:
        await until(flows, within=15, every=0.2, what="remote video and sound")
    except AssertionError as late:
        raise AssertionError(f"{late}: {seen[-1]}") from None


async def test_the_main_job_from_sign_in_to_playback(
    server: Server, browser: Browser, room: str, tmp_path: Path
) -> None:
    async with visitor(browser) as host_side, visitor(browser) as guest_side:
        host, guest = await host_side.new_page(), await guest_side.new_page()
        faults = faults_of(host), faults_of(guest)

        await enter_as_host(host, server, room)
        await guest.goto(await invite_link(host))
        await join(guest, "Gus Guest")
        await sees_and_hears(host, 2)
        await sees_and_hears(guest, 2)
        await expect(guest.get_by_test_id("record-button")).to_have_count(0)

        await chat(host, guest)
        await record_and_reload(host, guest)
        await host.get_by_test_id("leave").click()
        await expect(guest.get_by_test_id("tile")).to_have_count(1, timeout=SOON)
        await play_download_delete(host, server, room, tmp_path)
        assert faults == ([], [])


async def chat(host: Page, guest: Page) -> None:
    for page in (host, guest):
        await page.get_by_test_id("open-chat").click()
    await host.get_by_test_id("chat-input").fill("Is <b>this</b> thing on?")
    await host.get_by_test_id("chat-input").press("Enter")
    at_guest = guest.get_by_test_id("chat-message")
    await expect(at_guest).to_contain_text("Is <b>this</b> thing on?", timeout=SOON)
    await expect(at_guest).to_contain_text("Hana Host")
    await guest.get_by_test_id("chat-input").fill("It is.")
    await guest.get_by_test_id("chat-input").press("Enter")
    await expect(host.get_by_test_id("chat-message").last).to_contain_text("It is.", timeout=SOON)


async def record_and_reload(host: Page, guest: Page) -> None:
    """The mark comes for both, survives both reloads, and goes for both."""
    button = host.get_by_test_id("record-button")
    await button.click()
    for page in (host, guest):
        await expect(page.get_by_test_id("rec-mark")).to_be_visible(timeout=SOON)
    for page in (guest, host):
        await page.reload()
        await expect(page.get_by_test_id("rec-mark")).to_be_visible(timeout=SOON)
        await sees_and_hears(page, 2)
    await sees_and_hears(guest, 2)
    await expect(button).to_have_attribute("data-state", "recording", timeout=SOON)
    await button.click()
    for page in (host, guest):
        await expect(page.get_by_test_id("rec-mark")).to_have_count(0, timeout=SOON)


async def play_download_delete(page: Page, server: Server, room: str, folder: Path) -> None:
    await page.goto(f"{server.base_url.replace('127.0.0.1', 'localhost')}/recordings")
    card = page.get_by_test_id("recording-card").filter(has_text=room)
    await expect(card).to_have_attribute("data-status", "recorded", timeout=30_000)
    await card.get_by_test_id("play").first.click()
    video = page.locator("video").first
    await expect(video).to_be_visible(timeout=SOON)
    await until(
        lambda: video.evaluate("(v) => v.videoWidth > 0 && v.currentTime > 0.5"),
        within=15,
        what="the recording plays",
    )
    duration = await video.evaluate("(v) => v.duration")
    assert 1 < duration < 120
    landed = await video.evaluate(
        "(v) => new Promise((done) => { v.onseeked = () => done(v.currentTime);"
        " v.currentTime = v.duration / 2; })"
    )
    assert landed == pytest.approx(duration / 2, abs=0.5)
    await page.keyboard.press("Escape")

    async with page.expect_download() as downloading:
        await card.get_by_test_id("download").first.click()
    download = await downloading.value
    path = folder / download.suggested_filename
    await download.save_as(path)
    assert path.suffix in {".webm", ".mp4"}
    assert decode_errors(path) == 0

    await card.get_by_test_id("delete").click()
    confirm = page.get_by_test_id("confirm-delete")
    if await confirm.count():
        await confirm.click()
    await expect(card).to_have_count(0, timeout=SOON)


async def test_controls_are_seen_by_the_other_side(
    server: Server, browser: Browser, room: str
) -> None:
    async with visitor(browser) as host_side, visitor(browser) as guest_side:
        host, guest = await host_side.new_page(), await guest_side.new_page()
        await enter_as_host(host, server, room)
        await guest.goto(await invite_link(host))
        await join(guest, "Gus Guest")
        await sees_and_hears(guest, 2)
        await toggled(host, "toggle-mic", guest, "microphone")
        await toggled(host, "toggle-camera", guest, "camera")


async def toggled(one: Page, control: str, other: Page, source: str) -> None:
    """Pressing a control mutes what the other side gets; pressing it again brings it back."""
    await one.get_by_test_id(control).click()
    await until(lambda: muted(other, source), within=10, what=f"{source} is muted")
    await one.get_by_test_id(control).click()
    await until(lambda: muted(other, source, wanted=False), within=10, what=f"{source} is back")


async def muted(page: Page, source: str, *, wanted: bool = True) -> bool:
    found: bool = await page.evaluate(
        "([source, wanted]) => [...window.__room.remoteParticipants.values()].some((who) =>"
        " who.getTrackPublication(source)?.isMuted === wanted)",
        [source, wanted],
    )
    return found


async def test_without_a_sign_in_there_is_only_the_sign_in_form(
    server: Server, browser: Browser, room: str
) -> None:
    async with visitor(browser) as context:
        page = await context.new_page()
        for path in ("/", f"/room/{room}", "/recordings"):
            await page.goto(server.base_url + path)
            await expect(page.get_by_test_id("sign-in-form")).to_be_visible(timeout=SOON)
            await expect(page.get_by_test_id("join-call")).to_have_count(0)


async def test_a_used_up_or_wrong_invite_says_so(
    server: Server, browser: Browser, room: str
) -> None:
    async with visitor(browser) as context:
        page = await context.new_page()
        await page.goto(f"{server.base_url}/#invite=not-a-code&room={room}")
        await page.get_by_test_id("prejoin-name").fill("Mallory")
        await page.get_by_test_id("join-call").click()
        await expect(page.get_by_role("alert").first).to_be_visible(timeout=SOON)
        await expect(page.get_by_test_id("leave")).to_have_count(0)


async def test_the_camera_is_sent_at_full_size_from_the_start(
    server: Server, browser: Browser, room: str
) -> None:
    async with visitor(browser) as side:
        page = await side.new_page()
        await enter_as_host(page, server, room)

        async def full_size() -> bool:
            sent = (await page.evaluate("rigStats()"))["outbound"].get("video", {})
            seen.append(sent)
            return bool(sent.get("width") == 1280 and sent.get("framesEncoded", 0) > 10)

        seen: list[object] = []
        try:
            await until(full_size, within=20, every=0.2, what="1280 pixels")
        except AssertionError as late:
            raise AssertionError(f"{late}: {seen[-1]}") from None
