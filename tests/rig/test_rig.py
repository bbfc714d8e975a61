"""The rig measures itself first: when this fails, the machine is at fault and not the server."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.media_truth import measure
from tests.rig.known_content import known_content_page
from tests.rig.probes import garbage
from tests.rig.server import members
from tests.rig.waiting import until

SECONDS = 4


@pytest.mark.asyncio(loop_scope="module")
async def test_known_content_through_two_connections_of_one_page(
    browser: Browser, pages_url: str, tmp_path: Path
) -> None:
    async with known_content_page(browser, pages_url) as page:
        await page.loopback()
        await page.decoding()
        await page.start_local_file()
        before = await page.snapshot()
        await page.elapse(SECONDS)
        after = await page.snapshot()
        path = await page.stop_local_file(tmp_path / "local.webm")
        drawn, seen = await page.drawn(), await page.seen("loopback")

    encoded = after.sent("video", "framesEncoded") - before.sent("video", "framesEncoded")
    decoded = after.got("video", "framesDecoded") - before.got("video", "framesDecoded")
    assert encoded >= 0.95 * 30 * SECONDS
    assert decoded >= 0.95 * encoded
    assert after.got("audio", "totalAudioEnergy") > before.got("audio", "totalAudioEnergy")
    assert after.packets_lost == 0
    assert seen == sorted(seen)
    assert set(seen) <= {0, *drawn}

    truth = measure(path)
    assert truth.backwards == 0
    assert truth.dropped <= 0.05 * truth.frames
    assert abs(len(truth.flashes_s) - SECONDS) <= 1
    assert len(truth.beeps_s) >= SECONDS - 1
    assert all(-40 < offset < 140 for offset in truth.offsets_ms), truth.offsets_ms


async def test_a_session_s_processes_are_all_found() -> None:
    script = "import subprocess, sys; subprocess.run(['sleep', '30'])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, start_new_session=True
    )
    try:
        await until(lambda: len(members(process.pid)) == 2, within=20, what="parent and child")
    finally:
        for pid in members(process.pid):
            with_signal = await asyncio.create_subprocess_exec("kill", "-9", str(pid))
            await with_signal.wait()
        await process.wait()
    await until(lambda: not members(process.pid), within=20, what="both are gone")


def test_garbage_is_the_same_for_the_same_seed_and_of_every_shape() -> None:
    datagrams = list(garbage(100_000, seed=1))
    assert datagrams == list(garbage(100_000, seed=1))
    assert 100_000 <= sum(map(len, datagrams)) < 102_000
    assert max(map(len, datagrams)) <= 1400
    firsts = {datagram[0] for datagram in datagrams if datagram}
    assert {0, 1, 22} <= firsts
    assert any(128 <= first < 192 for first in firsts)
