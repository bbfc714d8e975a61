"""A recording in a bucket plays in the library's page, from the bucket itself, and is downloaded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from playwright.async_api import Page, Response, expect

from tests.crash.outages import all_recorded, leave_unfinished, s3_settings
from tests.rig.browser import chromium, faults_of, visitor
from tests.rig.ceph import Radosgw
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import server_token
from tests.rig.waiting import until

SEEK = "video => { video.currentTime = video.duration - 0.5 }"
PLACE = "video => [video.currentTime, video.error && video.error.message]"


async def played(page: Page, past: float) -> None:
    video = page.get_by_test_id("player")

    async def on() -> bool:
        at, error = await video.evaluate(PLACE)
        assert error is None, error
        return bool(at > past)

    await until(on, within=15, what=f"the video is past {past:g} s")


async def test_the_library_plays_from_the_bucket(
    data_dir: Path, tmp_path: Path, s3_gateway: Radosgw
) -> None:
    bucket = s3_gateway.new_bucket()
    await leave_unfinished(data_dir, 1, video=True)
    async with (
        MediaserverProcess(data_dir, s3_settings(s3_gateway, bucket)) as server,
        Rest(server.base_url, server_token()) as rest,
        chromium() as browser,
        visitor(browser) as person,
    ):
        (row,) = await all_recorded(rest, 1, within=60)
        page = await person.new_page()
        faults, answers = faults_of(page), list[Response]()

        def note(answer: Response) -> None:
            answers.append(answer)

        page.on("response", note)
        await page.goto(server.sign_in_link)
        await expect(page.get_by_test_id("room-name")).to_be_visible()
        await page.get_by_role("link", name="Recordings").click()
        card = page.get_by_test_id("recording-card")
        await expect(card).to_have_count(1)
        await card.get_by_test_id("play").first.click()
        await played(page, 1.0)
        await page.get_by_test_id("player").evaluate(SEEK)
        await played(page, row["durationSeconds"] - 0.5)

        object_name = row["key"].rpartition("/")[2]
        media = [each for each in answers if each.status in (200, 206) and object_name in each.url]
        assert media, "nothing came from the bucket"
        assert {urlsplit(each.url).netloc for each in media} == {
            urlsplit(s3_gateway.endpoint).netloc
        }
        assert faults == []

        async with page.expect_download() as download:
            await card.get_by_test_id("download").first.click()
        saved = await download.value
        assert saved.suggested_filename.endswith(".webm")
        assert "room_0" in saved.suggested_filename
        content = Path(await saved.path()).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["files"][0]["sha256"]
