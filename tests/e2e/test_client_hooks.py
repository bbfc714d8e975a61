"""Client code that embedding applications already hold, as two React hooks in Chromium on a page of
their own origin: against every provider."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.e2e.recordings import fetch
from tests.rig.browser import faults_of, visitor
from tests.rig.bundles import built, site
from tests.rig.media import decode_errors, ffprobe
from tests.rig.rest import Refused, Rest
from tests.rig.sdk import joined
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token
from tests.rig.uploads import assert_in_library, write_film
from tests.rig.waiting import until
from tests.storage.stores import Servers

pytestmark = pytest.mark.asyncio(loop_scope="module")

WEBM = "video/webm;codecs=vp8,opus"
PROVIDERS = ("local", "s3", "b2", "gcs", "vercel")
TO_THE_BUCKET = ("s3", "gcs")  # the others have no POST policies: files pass through the server
IN_A_MOMENT = ("s3",)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def origin(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Where the embedding application's page is."""
    page = await built(Path(__file__).parent / "hooks", tmp_path_factory.mktemp("hooks"))
    async with site(page) as origin:
        yield origin


def settings_of(provider: str, servers: Servers, origin: str) -> dict[str, str]:
    """An empty store whose bucket lets the page's scripts in, as its operator would set it."""
    match provider:
        case "local":
            return {}
        case "gcs":
            servers.gcs.wipe()
            servers.gcs.manners.origins = (origin,)
            return {
                "RECORDING_STORAGE_PROVIDER": "gcs",
                "RECORDING_GCS_BUCKET": servers.gcs.bucket,
                "RECORDING_GCS_CREDENTIALS": servers.gcs.credentials_json,
                "STORAGE_EMULATOR_HOST": servers.gcs.endpoint,
            }
        case "vercel":
            servers.vercel.empty()
            return {
                "RECORDING_STORAGE_PROVIDER": "vercel-blob",
                "BLOB_READ_WRITE_TOKEN": servers.vercel.token,
                "VERCEL_BLOB_API_URL": servers.vercel.api_url,
            }
    gateway, b2 = servers.s3, provider == "b2"
    bucket = gateway.new_bucket(versioned=b2)
    gateway.allow_pages(bucket, origin)
    prefix, name = ("BACKBLAZE_B2", "BUCKET_NAME") if b2 else ("RECORDING_S3", "BUCKET")
    return {
        "RECORDING_STORAGE_PROVIDER": provider,
        f"{prefix}_{name}": bucket,
        f"{prefix}_ENDPOINT": gateway.endpoint,
        f"{prefix}_ACCESS_KEY_ID": gateway.access_key_id,
        f"{prefix}_SECRET_ACCESS_KEY": gateway.secret_access_key,
    }


async def running_call(rest: Rest, room: str) -> str:
    async def look() -> str | None:
        with contextlib.suppress(Refused):  # the participant is there, the call not yet
            return str((await rest.get(f"/api/v1/rooms/{room}/call"))["callId"])
        return None

    return str(await until(look, within=20, what="the call has begun"))


async def said(page: Page, hook: str) -> dict[str, Any]:
    """What a hook says now, without its functions."""
    found: dict[str, Any] = json.loads(await page.evaluate(f"JSON.stringify(hooks.{hook})"))
    assert found["error"] is None, found
    return found


async def records_the_call(page: Page, rest: Rest, folder: Path) -> None:
    await page.evaluate(f"async () => hooks.recording.start(await fakeCamera(), '{WEBM}')")

    async def sent() -> bool:
        return int((await said(page, "recording"))["sent"]) >= 3

    await until(sent, within=20, what="three chunks were taken")
    await page.evaluate("hooks.recording.stop()")

    async def over() -> dict[str, Any] | None:
        state = await said(page, "recording")
        return state if state["status"] in ("recorded", "failed") else None

    state = await until(over, within=60, every=0.3, what="the page hears that it is recorded")
    assert (state["status"], state["pending"]) == ("recorded", 0)
    row = await rest.get(f"/api/v1/recordings/{state['recordingId']}")
    (copy,) = [file for file in row["files"] if file["kind"] == "client"]
    assert copy["participantId"] == "ada"
    path = await fetch(rest, copy, folder)
    probed = await ffprobe(path)
    assert {stream["codec_name"] for stream in probed["streams"]} == {"vp8", "opus"}
    assert 3 <= float(probed["format"]["duration"]) < 3 + state["sent"]
    assert decode_errors(path) == 0
    (chunks,) = (await rest.get(f"/api/v1/recordings/{row['id']}/status"))["chunks"]
    (part,) = chunks["parts"]
    assert (part["received"], part["missing"]) == ([[0, state["sent"] - 1]], [])


async def uploads_a_file(page: Page, rest: Rest, film: Path) -> str:
    """Returns where it was sent."""
    await page.get_by_label("file").set_input_files(film)

    async def there() -> dict[str, Any] | None:
        state = await said(page, "upload")
        return state if state["media"] else None

    state = await until(there, within=60, what="the file is in the library")
    last = state["progress"][-1]
    assert (last["status"], last["uploadProgress"]) == ("completed", 100)
    assert last.keys() >= {"etaSeconds", "uploadSpeedMbps"}
    assert state["media"]["filename"] == film.name
    await assert_in_library(rest, state["media"]["id"], film)
    return str(state["uploadUrl"])


@pytest.mark.parametrize(
    "provider",
    [
        each if each in IN_A_MOMENT else pytest.param(each, marks=pytest.mark.long)
        for each in PROVIDERS
    ],
)
async def test_both_shapes_of_client_code(
    provider: str, origin: str, servers: Servers, browser: Browser, room: str, tmp_path: Path
) -> None:
    token = participant_token(room, "ada", host=True)
    settings = settings_of(provider, servers, origin)
    settings |= {"ALLOWED_ORIGINS": origin, "RECORDING_PLAYBACK": "proxy"}
    film = write_film(tmp_path / "talk.mp4")
    async with (
        MediaserverProcess(tmp_path / "data", settings) as server,
        Rest(server.base_url, token) as rest,
        joined(server, room, "ada", host=True),
        visitor(browser) as person,
    ):
        call = await running_call(rest, room)
        page = await person.new_page()
        faults = faults_of(page)
        told = f"server={server.base_url}&token={token}&call={call}&participant=ada"
        await page.goto(f"{origin}/#{told}")
        await page.wait_for_function("window.hooks")
        await records_the_call(page, rest, tmp_path)
        sent_to = await uploads_a_file(page, rest, film)
        through_us = urlsplit(sent_to).netloc == urlsplit(server.base_url).netloc
        assert through_us is (provider not in TO_THE_BUCKET), sent_to
        assert faults == []
