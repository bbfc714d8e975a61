"""Recordings that a server finds unfinished at its start, and what has become of them later.

Their journals are real, so the whole of finishing runs: the job, the ledger, the stores.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from storage.catalog import Catalog, migrate
from tests.recorder.known_media import Coded, audio_track, encode_video, video_track
from tests.rig.ceph import REGION, Radosgw
from tests.rig.media import decode_errors
from tests.rig.rest import FINAL, Rest
from tests.rig.server import MediaserverProcess
from tests.rig.waiting import until

LARGE = 9 << 20  # bytes: more than one part


async def leave_unfinished(
    data_dir: Path, count: int, *, large: int = 0, video: bool = False
) -> list[str]:
    """`count` recordings that were just stopped, `large` of them of more than one part.

    The others are a second of sound, or with `video` four seconds of pictures.
    """
    data_dir.mkdir(mode=0o700)
    url = f"sqlite:///{data_dir / 'mediaserver.db'}"
    await migrate(url)
    catalog = await Catalog.open(url)
    ids = []
    for number in range(count):
        row = await catalog.recordings.create(
            room=f"room {number}",
            started_by="host",
            status="processing",
            options={"thumbnails": False},  # one file each
        )
        folder = data_dir / "journals" / row.id
        short = video_track() if video else audio_track(1.0)
        track = _large_track() if number < large else short
        await asyncio.to_thread(track.write, folder)
        ids.append(row.id)
    await catalog.close()
    return ids


def _large_track() -> Any:
    """A second of video whose frames were made large: what follows the picture is skipped."""
    frames = encode_video("video/VP8", count=30)
    padding = bytes(LARGE // len(frames))
    return video_track(
        frames=[Coded(each.counter, each.data + padding, each.keyframe) for each in frames]
    )


def s3_settings(gateway: Radosgw, bucket: str, endpoint: str | None = None) -> dict[str, str]:
    return {
        "RECORDING_STORAGE_PROVIDER": "s3",
        "RECORDING_S3_BUCKET": bucket,
        "RECORDING_S3_REGION": REGION,
        "RECORDING_S3_ACCESS_KEY_ID": gateway.access_key_id,
        "RECORDING_S3_SECRET_ACCESS_KEY": gateway.secret_access_key,
        "RECORDING_S3_ENDPOINT": endpoint or gateway.endpoint,
    }


async def all_recorded(rest: Rest, count: int, *, within: float) -> list[dict[str, Any]]:
    """The recordings when every one of them is `recorded`."""

    async def look() -> list[dict[str, Any]] | None:
        items: list[dict[str, Any]] = (
            await rest.call("GET", "/api/v1/recordings", params={"limit": "200"})
        )["items"]
        done = [row for row in items if row["status"] in FINAL]
        return items if len(done) == len(items) == count else None

    rows = await until(look, within=within, every=0.25, what=f"{count} recordings are final")
    failed = [row for row in rows if row["status"] != "recorded"]
    assert not failed, failed
    return list(rows)


async def in_bucket(gateway: Radosgw, bucket: str) -> dict[str, str]:
    """SHA-256 of every object, read past the server and its network."""

    def read() -> dict[str, str]:
        found = {}
        pages = gateway.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for each in (entry for page in pages for entry in page.get("Contents", ())):
            body = gateway.client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            found[each["Key"]] = hashlib.sha256(body).hexdigest()
        return found

    return await asyncio.to_thread(read)


def promised(rows: list[dict[str, Any]], provider: str) -> Mapping[str, str]:
    """Key and SHA-256 of what the library says is at a provider."""
    return {
        row["key"]: file["sha256"]
        for row in rows
        for file in row["files"]
        if file["provider"] == provider
    }


def local_leftovers(data_dir: Path) -> list[str]:
    """What is left of journals and finished files in the data folder."""
    root = data_dir / "journals"
    return [str(path) for path in root.glob("*/**/*") if path.is_file()]


async def plays(server: MediaserverProcess, row: dict[str, Any], folder: Path) -> bool:
    """Does the recording decode to its end, as the library hands it out?"""
    path = folder / "fetched"
    async with (
        aiohttp.ClientSession(server.base_url) as http,
        http.get(row["files"][0]["url"]) as answer,
    ):
        assert answer.status == 200
        path.write_bytes(await answer.read())
    return decode_errors(path) == 0
