"""Starts that could not be kept are refused within five seconds (R5), by a real server and a real S3.

And those that only have to wait for their store are not (R3).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.crash.outages import s3_settings
from tests.rig.ceph import Radosgw
from tests.rig.rest import Refused, Rest
from tests.rig.sdk import joined, tone
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import server_token
from tests.rig.waiting import until

START = "/api/v1/rooms/r/recording/start"
WITHIN = 5.0  # seconds


@asynccontextmanager
async def call(data_dir: Path, settings: Mapping[str, str]) -> AsyncIterator[Rest]:
    """A server with somebody in the room `r` who publishes."""
    settings = {"MEDIASERVER_DRAIN_SECONDS": "2", **settings}
    async with (
        MediaserverProcess(data_dir, settings) as server,
        Rest(server.base_url, server_token()) as rest,
        joined(server, "r", "ann") as ann,
        tone(ann, 440),
    ):
        yield rest


async def refusal(rest: Rest) -> Refused:
    async with asyncio.timeout(WITHIN):
        with pytest.raises(Refused) as refused:
            await rest.post(START)
    assert (await rest.get("/api/v1/recordings"))["total"] == 0
    return refused.value


async def starts(rest: Rest) -> bool:
    try:
        await rest.start_recording("r")
    except Refused:
        return False
    return True


def wrong_secret(gateway: Radosgw) -> dict[str, str]:
    settings = s3_settings(gateway, "any-bucket")
    return settings | {"RECORDING_S3_SECRET_ACCESS_KEY": "x" * 40}


async def test_a_bucket_that_is_not_there(data_dir: Path, s3_gateway: Radosgw) -> None:
    async with call(data_dir, s3_settings(s3_gateway, "no-such-bucket")) as rest:
        refused = await refusal(rest)
    assert (refused.status, refused.code) == (503, "store_bucket_missing")
    assert "no-such-bucket" in refused.message


async def test_a_wrong_secret(data_dir: Path, s3_gateway: Radosgw) -> None:
    async with call(data_dir, wrong_secret(s3_gateway)) as rest:
        refused = await refusal(rest)
    assert (refused.status, refused.code) == (503, "store_credentials_refused")
    assert "xxxx" not in refused.message


async def test_a_fallback_takes_what_the_main_store_will_not(
    data_dir: Path, s3_gateway: Radosgw
) -> None:
    settings = wrong_secret(s3_gateway) | {"RECORDING_FALLBACK_PROVIDER": "local"}
    async with call(data_dir, settings) as rest:
        recording = await rest.start_recording("r")
        await rest.post("/api/v1/rooms/r/recording/stop")
        row = await rest.recorded(recording)
        assert row["files"][0]["provider"] == "local"


async def test_a_store_that_is_only_down_refuses_nothing(
    data_dir: Path, s3_gateway: Radosgw
) -> None:
    settings = s3_settings(s3_gateway, "any-bucket", "http://127.0.0.1:1")
    async with call(data_dir, settings) as rest:
        async with asyncio.timeout(WITHIN):
            started = await rest.post(START)
        await rest.recording_in(started["recordingId"], {"recording"}, within=10)


@pytest.mark.parametrize(
    ("place", "code"), [("journals", "journals_unwritable"), ("recordings", "store_unavailable")]
)
async def test_a_folder_that_can_not_be_written(data_dir: Path, place: str, code: str) -> None:
    async with call(data_dir, {}) as rest:
        folder = data_dir / place
        aside = folder.rename(data_dir / "aside") if folder.exists() else None
        folder.write_text("in the way")  # root may write whatever its mode says
        refused = await refusal(rest)
        assert (refused.status, refused.code) == (503, code)
        folder.unlink()
        if aside is not None:
            aside.rename(folder)
        await until(lambda: starts(rest), within=10, what="a start works again")
        await rest.stop_recording("r")
