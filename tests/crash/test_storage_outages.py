"""Stores that fail, servers that are killed meanwhile: 45 recordings of 45 end where they belong."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.outages import (
    all_recorded,
    in_bucket,
    leave_unfinished,
    local_leftovers,
    plays,
    promised,
    s3_settings,
)
from tests.rig.ceph import Radosgw
from tests.rig.faults import Answer, CutAnswer, CutRequest, FaultProxy, fault_proxy, seeded
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import server_token
from tests.rig.waiting import until

COUNT = 45
LARGE = 5  # of them, in more than one part
KILLS = 20
SEED = 20261124

# 30 % of the requests are answered with 5xx, 10 % are cut in the middle
BAD = [(0.15, Answer(503)), (0.15, Answer(500)), (0.05, CutRequest(1)), (0.05, CutAnswer(1))]


@pytest.fixture
def network(s3_gateway: Radosgw) -> Iterator[FaultProxy]:
    with fault_proxy(s3_gateway.endpoint) as proxy:
        yield proxy


def ledger(data_dir: Path) -> list[tuple[str, str]]:
    """State and key of what is on its way, past the server."""
    with sqlite3.connect(data_dir / "mediaserver.db", timeout=10) as database:
        return list(database.execute("SELECT state, json_extract(file, '$.key') FROM deliveries"))


async def nothing_left(data_dir: Path) -> None:
    await until(
        lambda: not (local_leftovers(data_dir) or ledger(data_dir)),
        within=60,
        what="no local copy, journal or ledger row is left",
    )


async def all_kept_at_home(
    rest: Rest, gateway: Radosgw, bucket: str, data_dir: Path, *, within: float
) -> None:
    rows = await all_recorded(rest, COUNT, within=within)
    await nothing_left(data_dir)
    rows = await all_recorded(rest, COUNT, within=10)
    home = promised(rows, "s3")
    assert len(home) == COUNT
    assert await in_bucket(gateway, bucket) == home
    assert gateway.unfinished_uploads(bucket) == 0


@pytest.mark.timeout(300)
async def test_a_store_that_fails_four_requests_of_ten(
    data_dir: Path, tmp_path: Path, s3_gateway: Radosgw, network: FaultProxy
) -> None:
    bucket = s3_gateway.new_bucket()
    await leave_unfinished(data_dir, COUNT, large=LARGE)
    network.schedule = seeded(SEED, BAD)
    settings = s3_settings(s3_gateway, bucket, network.url)
    async with (
        MediaserverProcess(data_dir, settings) as server,
        Rest(server.base_url, server_token()) as rest,
    ):
        await all_kept_at_home(rest, s3_gateway, bucket, data_dir, within=200)
        faults = sum(request.fault is not None for request in network.requests)
        assert faults > 0.3 * len(network.requests)
        network.forget()
        rows = await all_recorded(rest, COUNT, within=10)
        assert await plays(server, rows[-1], tmp_path)  # one of the large ones
        assert await plays(server, rows[0], tmp_path)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_store_that_is_down_with_a_fallback(
    data_dir: Path, s3_gateway: Radosgw, network: FaultProxy
) -> None:
    bucket = s3_gateway.new_bucket()
    await leave_unfinished(data_dir, COUNT, large=LARGE)
    network.down = True
    settings = s3_settings(s3_gateway, bucket, network.url)
    settings["RECORDING_FALLBACK_PROVIDER"] = "local"
    async with (
        MediaserverProcess(data_dir, settings) as server,
        Rest(server.base_url, server_token()) as rest,
    ):
        rows = await all_recorded(rest, COUNT, within=200)
        assert len(promised(rows, "local")) == COUNT
        assert local_leftovers(data_dir) == []
        assert await in_bucket(s3_gateway, bucket) == {}

        network.down = False
        await all_kept_at_home(rest, s3_gateway, bucket, data_dir, within=60)
        assert [path for path in (data_dir / "recordings").rglob("*.w*") if path.is_file()] == []


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fallback", [None, "local"], ids=["failing", "down_with_fallback"])
async def test_killed_at_twenty_random_moments_of_it(
    data_dir: Path, s3_gateway: Radosgw, network: FaultProxy, fallback: str | None
) -> None:
    seed = random.randrange(1 << 30)
    dice = random.Random(seed)
    bucket = s3_gateway.new_bucket()
    await leave_unfinished(data_dir, COUNT, large=LARGE)
    settings = s3_settings(s3_gateway, bucket, network.url)
    if fallback:
        settings["RECORDING_FALLBACK_PROVIDER"] = fallback
        network.down = True
    else:
        network.schedule = seeded(seed, BAD)
    async with MediaserverProcess(data_dir, settings) as server:
        for number in range(KILLS):
            if fallback and number == KILLS // 2:
                network.down = False  # half of the kills hit the way home
            await asyncio.sleep(dice.uniform(0.0, 4.0))  # the moment of the kill is what is tested
            await server.kill9()
            await server.restart()
        async with Rest(server.base_url, server_token()) as rest:
            try:
                await all_kept_at_home(rest, s3_gateway, bucket, data_dir, within=300)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {error}") from error
