"""The upload page and the media library as people use them, with real films."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Request, expect

from tests.recorder.media.films import film
from tests.rig.browser import faults_of, visitor
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token
from tests.rig.waiting import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("server_unharmed"),
]

Server = MediaserverProcess
SOON = 20_000  # milliseconds
MADE = 90_000  # until another process has made something, on a busy machine
MEBIBYTE = 1 << 20
SPEED = 4 * MEBIBYTE  # bytes per second, so that a large file is still on its way when we look
CAPTIONS = "WEBVTT\n\n00:00.000 --> 00:02.000\nHello there\n"
PLAYS = "video => video.currentTime > 0.3 && video.videoWidth > 0"
UNNAMED = """
() => [...document.querySelectorAll("button, a, input, select, video")]
  .filter((one) => !one.hidden && one.checkVisibility())
  .filter((one) => !(one.innerText || one.ariaLabel || one.labels?.length
    || [...one.children].some((child) => child.alt)))
  .map((one) => one.outerHTML.slice(0, 120))
"""
DROP = """
(names) => {
  const carried = new DataTransfer();
  for (const name of names) carried.items.add(new File(["These are only words."], name));
  const options = { dataTransfer: carried, bubbles: true, cancelable: true };
  if (document.body.dispatchEvent(new DragEvent("dragover", options)))
    throw new Error("the browser would open the file");
  document.body.dispatchEvent(new DragEvent("drop", options));
}
"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of somebody's own, which must not throw."""
    async with visitor(browser) as person:
        opened = await person.new_page()
        faults = faults_of(opened)
        yield opened
        assert faults == []


async def enter(page: Page, server: Server, who: str, path: str = "/upload") -> None:
    """As somebody whose token says who they are; every test has a library of its own."""
    base = server.base_url.replace("127.0.0.1", "localhost")
    await page.goto(f"{base}/recordings")
    await page.evaluate("token => localStorage.setItem('mediaserver.token', token)", own(who))
    await page.goto(base + path)


def own(who: str) -> str:
    return participant_token("media", who)


def upload(page: Page, name: str) -> Locator:
    return page.locator(f"[data-testid=upload][data-name='{name}']")


def card(page: Page, name: str) -> Locator:
    return page.get_by_test_id("media-card").filter(has_text=name)


async def choose(page: Page, *paths: Path) -> None:
    await page.get_by_test_id("file-input").set_input_files([str(path) for path in paths])


async def uploaded(page: Page, path: Path) -> None:
    """`path` is in the library, and its page is shown."""
    await choose(page, path)
    row = upload(page, path.name)
    await expect(row).to_have_attribute("data-stage", "done", timeout=MADE)
    await row.get_by_test_id("open-media").click()
    await expect(page.get_by_test_id("details")).to_be_visible(timeout=SOON)


async def plays(page: Page) -> None:
    video = page.get_by_test_id("player")
    await video.evaluate("video => { video.muted = true; void video.play(); }")

    async def on() -> bool:
        return bool(await video.evaluate(PLAYS))

    await until(on, within=20, what="the film plays")


def large(path: Path, size: int) -> Path:
    """A film followed by so much room that players skip (a `free` box, ISO/IEC 14496-12)."""
    film(path)
    room = size - path.stat().st_size
    with path.open("r+b") as file:
        file.seek(0, 2)
        file.write(room.to_bytes(4, "big") + b"free")
        file.truncate(size)
    return path


async def test_two_films_go_up_at_once_with_the_sign_in_link_of_the_host(
    server: Server, page: Page, tmp_path: Path
) -> None:
    first, second = film(tmp_path / "first film.mp4"), film(tmp_path / "second.mp4", seconds=3.0)
    await page.goto(server.sign_in_link)
    await page.get_by_role("link", name="Media", exact=True).click()
    await expect(page.get_by_test_id("no-media")).to_be_visible(timeout=SOON)
    await page.get_by_test_id("to-upload").click()
    await expect(page.get_by_text("MP4, WebM, AVI and MOV, up to 524 MB each")).to_be_visible()
    await choose(page, first, second)
    for path in (first, second):
        await expect(upload(page, path.name)).to_have_attribute("data-stage", "done", timeout=MADE)

    await page.get_by_role("link", name="All media").click()
    await expect(page.get_by_test_id("media-card")).to_have_count(2, timeout=SOON)
    await expect(card(page, "first film").get_by_test_id("poster")).to_be_visible(timeout=MADE)
    await page.get_by_test_id("search").fill("second")
    await expect(page.get_by_test_id("media-card")).to_have_count(1, timeout=SOON)


async def test_a_reload_in_the_middle_sends_only_what_was_not_there(
    server: Server, page: Page, tmp_path: Path
) -> None:
    path = large(tmp_path / "long lesson.mp4", 104 * MEBIBYTE)
    sent: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PUT" and "/objects/" in request.url:
            sent.append(int(request.headers.get("content-length", 0)))

    await enter(page, server, "reloader")
    slow = await page.context.new_cdp_session(page)
    await slow.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    await slow.send("Network.emulateNetworkConditions", limits | {"uploadThroughput": SPEED})
    await choose(page, path)
    row = upload(page, path.name)
    kept = "JSON.parse(localStorage.getItem('mediaserver.uploads'))[0]?.session.etags ?? {}"

    async def parts_there() -> bool:
        return len(await page.evaluate(f"Object.keys({kept})")) >= 3

    await expect(row).to_have_attribute("data-stage", "sending", timeout=SOON)
    await until(parts_there, within=60, what="three parts are there")
    await expect(row.get_by_test_id("upload-state")).to_contain_text("left")

    page.on("dialog", lambda dialog: dialog.accept())
    await page.reload()
    await expect(row).to_have_attribute("data-stage", "lost", timeout=SOON)
    there = len(await page.evaluate(f"Object.keys({kept})"))
    other = tmp_path / "other" / path.name
    other.parent.mkdir()
    await row.get_by_test_id("rechoose").set_input_files(str(film(other)))
    await expect(row.get_by_text("This is another file")).to_be_visible()

    await slow.send("Network.emulateNetworkConditions", limits | {"uploadThroughput": -1})
    page.on("request", note)
    await row.get_by_test_id("rechoose").set_input_files(str(path))
    await expect(row).to_have_attribute("data-stage", "done", timeout=MADE)
    parts = -(-path.stat().st_size // (5 * MEBIBYTE))
    assert len(sent) == parts - there

    await row.get_by_test_id("open-media").click()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    await expect(page.get_by_test_id("details")).to_contain_text(digest, timeout=SOON)
    await plays(page)


async def test_a_pause_holds_and_a_cancelled_upload_leaves_nothing(
    server: Server, page: Page, tmp_path: Path
) -> None:
    path = large(tmp_path / "paused.mp4", 104 * MEBIBYTE)
    await enter(page, server, "pauser")
    slow = await page.context.new_cdp_session(page)
    await slow.send("Network.enable")
    await slow.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SPEED},
    )
    await choose(page, path)
    row = upload(page, path.name)
    await expect(row).to_have_attribute("data-stage", "sending", timeout=SOON)
    await row.get_by_test_id("pause").click()
    await expect(row).to_have_attribute("data-stage", "paused")
    await row.get_by_test_id("resume").click()
    await expect(row).to_have_attribute("data-stage", "sending", timeout=SOON)
    async with page.expect_response(
        lambda answer: answer.request.method == "DELETE" and "/api/v1/media/upload/" in answer.url
    ) as ended:
        await row.get_by_test_id("cancel").click()
    assert (await ended.value).status == 200
    await expect(row).to_have_count(0)
    assert await page.evaluate("localStorage.getItem('mediaserver.uploads')") == "[]"


async def test_text_that_is_dropped_is_refused_with_the_reason_whatever_it_is_called(
    server: Server, page: Page
) -> None:
    names = ["notes.txt", "notes.mp4"]
    await enter(page, server, "writer")
    await page.get_by_test_id("file-input").wait_for(state="attached")
    await page.evaluate(DROP, names)
    for name in names:
        row = upload(page, name)
        await expect(row).to_have_attribute("data-stage", "failed", timeout=MADE)
        await expect(row.get_by_role("alert")).to_contain_text("This kind of file is not accepted")
        await expect(row.get_by_role("alert")).to_contain_text("MP4, WebM, AVI and MOV")
        await expect(row.get_by_test_id("retry")).to_have_count(0)
        await row.get_by_test_id("cancel").click()
    await page.get_by_role("link", name="All media").click()
    await expect(page.get_by_test_id("no-media")).to_be_visible(timeout=SOON)


async def test_a_film_is_played_renamed_tagged_deleted_and_restored(
    server: Server, page: Page, tmp_path: Path
) -> None:
    await enter(page, server, "keeper")
    await uploaded(page, film(tmp_path / "raw.mp4"))
    await plays(page)
    await page.get_by_test_id("rename").click()
    await page.get_by_test_id("new-name").fill("Lesson one.mp4")
    await page.get_by_test_id("save-name").click()
    await expect(page.get_by_role("heading", name="Lesson one.mp4")).to_be_visible(timeout=SOON)
    await page.get_by_test_id("new-tags").fill("lesson, draft")
    await page.get_by_test_id("new-tags").press("Enter")
    await expect(page.get_by_test_id("tags")).to_contain_text("draft", timeout=SOON)
    async with page.expect_download() as download:
        await page.get_by_test_id("download").click()
    saved = await download.value
    assert saved.suggested_filename == "Lesson one.mp4"
    assert Path(await saved.path()).read_bytes() == (tmp_path / "raw.mp4").read_bytes()

    await page.get_by_role("link", name="All media").click()
    lesson = card(page, "Lesson one.mp4")
    await lesson.get_by_title("Delete Lesson one.mp4").click()
    await expect(lesson).to_have_count(0, timeout=SOON)
    await page.get_by_test_id("undo").get_by_role("button", name="Undo").click()
    await expect(lesson).to_be_visible(timeout=SOON)
    await lesson.get_by_test_id("delete").click()
    await expect(page.get_by_test_id("no-media")).to_be_visible(timeout=SOON)
    await page.get_by_test_id("show-trash").click()
    await page.get_by_test_id("restore").click()
    await expect(page.get_by_test_id("trash-empty")).to_be_visible(timeout=SOON)
    await page.get_by_test_id("show-trash").click()
    await expect(lesson).to_contain_text("lesson", timeout=SOON)


async def test_several_files_are_tagged_deleted_and_brought_back_together(
    server: Server, page: Page, tmp_path: Path
) -> None:
    await enter(page, server, "sorter")
    for name in ("one.mp4", "two.mp4", "three.mp4"):
        await choose(page, film(tmp_path / name, seconds=1.0))
    await expect(page.locator("[data-stage=done]")).to_have_count(3, timeout=MADE)
    await page.get_by_role("link", name="All media").click()
    for name in ("one.mp4", "two.mp4"):
        await page.get_by_label(f"Choose {name}").check()
    await expect(page.get_by_test_id("batch")).to_contain_text("2 chosen")
    await page.get_by_test_id("batch-tag").click()
    await page.get_by_test_id("batch-tags").fill("lesson")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("media-card").filter(has_text="lesson")).to_have_count(2)

    # another tab was faster with one of them
    async with Rest(server.base_url, own("sorter")) as rest:
        files = (await rest.get("/api/v1/media/user/media"))["items"]
        ids = {file["filename"]: file["id"] for file in files}
        await rest.delete(f"/api/v1/media/media/{ids['one.mp4']}")
    await page.get_by_test_id("batch-make").click()
    await page.get_by_label("Stream (HLS)").check()
    await page.get_by_test_id("batch-confirm").click()
    problems = page.get_by_test_id("batch-problems")
    await expect(problems).to_contain_text("one.mp4: This file is in the trash", timeout=SOON)
    await expect(problems.get_by_role("listitem")).to_have_count(1)

    await page.get_by_test_id("choose-all").check()
    await page.get_by_test_id("batch-delete").click()
    await expect(page.get_by_test_id("no-media")).to_be_visible(timeout=SOON)
    await page.get_by_test_id("undo").get_by_role("button", name="Undo").click()
    await expect(page.get_by_test_id("media-card")).to_have_count(2, timeout=SOON)


async def test_a_film_is_attached_to_a_course_and_what_was_watched_of_it_is_told_on_leaving(
    server: Server, page: Page, tmp_path: Path
) -> None:
    await enter(page, server, "teacher")
    await uploaded(page, film(tmp_path / "lesson.mp4", seconds=4.0))
    media_id = page.url.rpartition("/")[2]
    await page.get_by_test_id("attach-course").fill("algebra")
    await page.get_by_test_id("attach").click()
    attached = page.get_by_test_id("attachment")
    await expect(attached).to_contain_text("algebra", timeout=SOON)
    await page.get_by_title("Change algebra").click()
    await page.get_by_test_id("attach-video").fill("first")
    await page.keyboard.press("Enter")
    await expect(attached).to_contain_text("first", timeout=SOON)
    await expect(attached).to_have_count(1)
    video = page.get_by_test_id("player")
    await video.evaluate("video => { video.muted = true; void video.play(); }")

    async def seen_some() -> bool:
        return float(await video.evaluate("video => video.currentTime")) > 1.6

    await until(seen_some, within=20, what="some of it is played")
    await page.goto("about:blank")
    async with Rest(server.base_url, own("teacher")) as rest:

        async def told() -> bool:
            seen.append(await rest.get(f"/api/v1/media/media/{media_id}"))
            return bool(seen[-1]["views"])

        seen: list[dict[str, Any]] = []
        await until(told, within=10, what="the view")
    assert 1.4 < seen[-1]["secondsWatched"] < 4.1
    assert seen[-1]["views"] == 1
    assert seen[-1]["attachments"] == [{"courseId": "algebra", "videoId": "first"}]


@pytest.mark.long
async def test_captions_and_smaller_versions_are_made_and_played(
    server: Server, page: Page, tmp_path: Path
) -> None:
    words = tmp_path / "words.vtt"
    await enter(page, server, "maker")
    await uploaded(page, film(tmp_path / "film.mp4", seconds=3.0))
    words.write_text("no captions at all")
    await page.get_by_test_id("caption-file").set_input_files(str(words))
    await expect(page.get_by_role("alert")).to_contain_text("These captions can’t be used")
    words.write_text(CAPTIONS)
    await page.get_by_test_id("caption-language").select_option("de")
    await page.get_by_test_id("caption-file").set_input_files(str(words))
    await expect(page.get_by_test_id("captions")).to_contain_text("German", timeout=SOON)
    shown = """video => { video.textTracks[0].mode = "showing";
      return [...(video.textTracks[0].cues ?? [])].map((cue) => cue.text) }"""

    async def cues() -> bool:
        return await page.get_by_test_id("player").evaluate(shown) == ["Hello there"]

    await until(cues, within=15, what="the captions are loaded")

    for name in ("240p MP4", "Stream (HLS)"):
        await page.get_by_label(name, exact=True).check()
    await page.get_by_test_id("make-renditions").click()
    for name in ("240p", "hls"):
        rendition = page.locator(f"[data-testid=rendition][data-name='{name}']")
        await expect(rendition).to_have_attribute("data-status", "done", timeout=MADE)
    choice = page.get_by_test_id("quality-select")
    for name in ("240p", "original", "hls"):
        await choice.select_option(name)
        await expect(page.get_by_test_id("player")).to_have_attribute("data-source", name)
        await plays(page)


async def test_the_same_film_again_is_told(server: Server, page: Page, tmp_path: Path) -> None:
    first = film(tmp_path / "once.mp4")
    again = tmp_path / "twice.mp4"
    again.write_bytes(first.read_bytes())
    await enter(page, server, "doubler")
    await choose(page, first)
    await expect(upload(page, "once.mp4")).to_have_attribute("data-stage", "done", timeout=MADE)
    await choose(page, again)
    row = upload(page, "twice.mp4")
    await expect(row).to_contain_text("You have this file already", timeout=MADE)
    await row.get_by_test_id("open-duplicate").click()
    await expect(page.get_by_role("heading", name="once.mp4")).to_be_visible(timeout=SOON)


async def test_the_pages_fit_a_phone_have_a_name_for_every_control_and_need_no_mouse(
    server: Server, page: Page, tmp_path: Path
) -> None:
    path = film(tmp_path / f"{'a very long name of a film ' * 4}.mp4")
    await page.set_viewport_size({"width": 390, "height": 844})
    await enter(page, server, "phone")
    await uploaded(page, path)
    here = page.url
    for address in ("/upload", "/media", here):
        await page.goto(address if address == here else here.partition("/media/")[0] + address)
        await page.get_by_role("heading", level=1).wait_for()
        await page.wait_for_load_state("networkidle")
        assert await page.evaluate(WIDER) <= 0, address
        assert await page.evaluate(UNNAMED) == [], address

    await page.get_by_role("link", name="All media").focus()
    await page.keyboard.press("Enter")
    await card(page, "a very long name").get_by_role("link").first.focus()
    await page.keyboard.press("Enter")
    await page.get_by_test_id("delete").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("no-media")).to_be_visible(timeout=SOON)
