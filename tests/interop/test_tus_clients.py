"""Clients of the tus protocol that nobody here wrote: each finishes an upload that was interrupted."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.rig.browser import faults_of
from tests.rig.bundles import MODULES, built, site
from tests.rig.faults import CutRequest, FaultProxy, Stall, fault_proxy
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token
from tests.rig.uploads import assert_in_library, write_film
from tests.rig.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
module = pytest_asyncio.fixture(scope="module", loop_scope="module")

HERE = Path(__file__).parent / "tus"
TUS = "/api/v1/media/tus"
TOKEN = participant_token("room", "ada")
MIB = 1 << 20


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_film(tmp_path_factory.mktemp("film") / "talk.mp4")
    assert path.stat().st_size > 5 * MIB
    return path


@module
async def uppy_page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with site(await built(HERE / "uppy", tmp_path_factory.mktemp("uppy"))) as origin:
        yield origin


@module
async def server(
    tmp_path_factory: pytest.TempPathFactory, uppy_page: str
) -> AsyncIterator[MediaserverProcess]:
    settings = {"ALLOWED_ORIGINS": uppy_page, "MAX_CONCURRENT_UPLOADS": "100"}
    async with MediaserverProcess(tmp_path_factory.mktemp("server") / "data", settings) as process:
        yield process


@module
async def rest(server: MediaserverProcess) -> AsyncIterator[Rest]:
    async with Rest(server.base_url, TOKEN) as rest:
        yield rest


@pytest.fixture
def network(server: MediaserverProcess) -> AsyncIterator[FaultProxy]:
    with fault_proxy(server.base_url) as proxy:
        yield proxy


def offsets(network: FaultProxy) -> list[int]:
    return [int(each.headers["upload-offset"]) for each in network.matching("PATCH")]


def cut_the_second_piece(network: FaultProxy) -> None:
    """Not the first: of what was on its way when a connection is reset, a server may see nothing."""
    network.inject(CutRequest(MIB), method="PATCH", skip=1)


def assert_went_on(network: FaultProxy) -> None:
    """One upload was created, and nothing that was acknowledged was sent twice."""
    assert network.count("POST", TUS) == 1
    found = offsets(network)
    assert found == sorted(found), found
    assert any(each.fault for each in network.matching("PATCH"))


async def media_id(rest: Rest, url: str) -> str:
    progress = await rest.get(f"/api/v1/media/upload/progress/{url.rpartition('/')[2]}")
    assert progress["status"] == "completed", progress
    return str(progress["mediaId"])


# --- tus-js-client --------------------------------------------------------------------------------


async def tus_js_client(
    network: FaultProxy, film: Path, store: Path, chunk: int
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "node",
        str(HERE / "send.mjs"),
        str(MODULES / "tus-js-client"),
        network.url + TUS,
        str(film),
        str(store),
        str(chunk),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TOKEN": TOKEN},
    )


async def finished(process: asyncio.subprocess.Process) -> dict[str, Any]:
    async with asyncio.timeout(40):
        said, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    found: dict[str, Any] = json.loads(said)
    return found


async def test_tus_js_client_goes_on_after_a_cut(
    network: FaultProxy, rest: Rest, film: Path, tmp_path: Path
) -> None:
    cut_the_second_piece(network)
    done = await finished(await tus_js_client(network, film, tmp_path / "urls", 2 * MIB))
    assert_went_on(network)
    await assert_in_library(rest, done["media"], film)


async def test_tus_js_client_that_was_killed_goes_on_when_it_is_started_again(
    network: FaultProxy, rest: Rest, film: Path, tmp_path: Path
) -> None:
    network.inject(Stall(60), method="PATCH", skip=3)
    killed = await tus_js_client(network, film, tmp_path / "urls", MIB)
    await until(lambda: network.count("PATCH") == 4, within=20, what="three pieces were sent")
    killed.kill()
    await killed.wait()
    done = await finished(await tus_js_client(network, film, tmp_path / "urls", MIB))
    assert_went_on(network)
    assert offsets(network)[3:5] == [3 * MIB, 3 * MIB]
    await assert_in_library(rest, done["media"], film)


async def test_tus_js_client_goes_on_after_the_server_was_killed(
    server: MediaserverProcess, network: FaultProxy, rest: Rest, film: Path, tmp_path: Path
) -> None:
    network.inject(Stall(0.5), method="PATCH", skip=3)  # and then nobody is there
    client = await tus_js_client(network, film, tmp_path / "urls", MIB)
    await until(lambda: network.count("PATCH") == 4, within=20, what="three pieces were sent")
    await server.kill9()
    await server.restart()
    done = await finished(client)
    assert_went_on(network)
    await assert_in_library(rest, done["media"], film)


# --- curl -----------------------------------------------------------------------------------------


async def curl(*arguments: str, fails: bool = False) -> str:
    process = await asyncio.create_subprocess_exec(
        "curl",
        *("--silent", "--include", "--max-time", "30"),
        *("--header", f"Authorization: Bearer {TOKEN}", "--header", "Tus-Resumable: 1.0.0"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert bool(process.returncode) is fails, said.decode()
    return said.decode()


def header(answer: str, name: str) -> str:
    found = re.search(rf"^{name}: (.*?)\r?$", answer, re.MULTILINE | re.IGNORECASE)
    assert found, answer
    return found[1]


async def test_curl_goes_on_after_a_cut(
    network: FaultProxy, rest: Rest, film: Path, tmp_path: Path
) -> None:
    size = film.stat().st_size
    told = ("--header", f"Upload-Length: {size}", "--header", "Upload-Metadata: name dGFsay5tcDQ=")
    created = await curl("--request", "POST", *told, network.url + TUS)
    url = network.url + header(created, "Location")
    piece = ("--request", "PATCH", "--header", "Content-Type: application/offset+octet-stream")

    async def send(start: int, end: int | None = None, *, fails: bool = False) -> str:
        data = tmp_path / "piece"
        data.write_bytes(film.read_bytes()[start:end])
        at = ("--header", f"Upload-Offset: {start}", "--data-binary", f"@{data}")
        return await curl(*piece, *at, url, fails=fails)

    cut_the_second_piece(network)
    assert header(await send(0, 2 * MIB), "Upload-Offset") == str(2 * MIB)
    await send(2 * MIB, fails=True)
    at = int(header(await curl("--head", url), "Upload-Offset"))
    assert 2 * MIB <= at < size
    done = await send(at)
    assert header(done, "Upload-Offset") == str(size)
    assert_went_on(network)
    await assert_in_library(rest, header(done, "Upload-Media-Id"), film)


# --- Uppy -----------------------------------------------------------------------------------------


async def uppy(page: Page, origin: str, network: FaultProxy, film: Path, chunk: int) -> None:
    await page.goto(f"{origin}/#server={network.url}&token={TOKEN}&chunk={chunk}")
    await page.get_by_label("file").set_input_files(film)


async def uppy_done(page: Page) -> str:
    output = page.locator("output")
    await expect(output).not_to_be_empty(timeout=40_000)
    result = json.loads(await output.inner_text())
    assert result["errors"] == [], result
    (url,) = result["urls"]
    return str(url)


async def test_uppy_goes_on_after_a_cut(
    network: FaultProxy, rest: Rest, film: Path, browser: Browser, uppy_page: str
) -> None:
    cut_the_second_piece(network)
    page = await browser.new_page()
    faults = faults_of(page)
    await uppy(page, uppy_page, network, film, 2 * MIB)
    url = await uppy_done(page)
    assert_went_on(network)
    await assert_in_library(rest, await media_id(rest, url), film)
    assert faults == []
    await page.close()


async def test_uppy_goes_on_in_a_page_that_was_opened_again(
    network: FaultProxy, rest: Rest, film: Path, browser: Browser, uppy_page: str
) -> None:
    network.inject(Stall(60), method="PATCH", skip=3)
    async with await browser.new_context() as person:
        page = await person.new_page()
        await uppy(page, uppy_page, network, film, MIB)
        await until(lambda: network.count("PATCH") == 4, within=20, what="three pieces were sent")
        await page.close()
        page = await person.new_page()
        await uppy(page, uppy_page, network, film, MIB)
        url = await uppy_done(page)
    assert_went_on(network)
    assert offsets(network)[3:5] == [3 * MIB, 3 * MIB]
    await assert_in_library(rest, await media_id(rest, url), film)
