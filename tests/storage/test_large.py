"""Objects that are large: memory stays small, and parts stay within what stores take."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from storage.objects.part_sizes import MAX_PARTS, SMALLEST_PART
from tests.rig.s3_fake import BUCKET, s3_fake
from tests.storage.large_child import KEY
from tests.storage.stores import Servers

pytestmark = pytest.mark.long

GIBIBYTE = 1 << 30
MEMORY = 100 * 10**6  # bytes, of a whole process with its interpreter and SDK


@pytest.fixture(scope="module")
def gibibyte(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "gibibyte"
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for number in range(1024):
            file.write(number.to_bytes(8) + block[8:])
    return path


def place_of(servers: Servers, kind: str, root: Path) -> dict[str, Any]:
    match kind:
        case "s3" | "b2":
            return {
                "name": servers.buckets[kind],
                "access_key_id": servers.s3.access_key_id,
                "secret_access_key": servers.s3.secret_access_key,
                "endpoint": servers.s3.endpoint,
            }
        case "gcs":
            gcs = servers.gcs
            return {
                "bucket": gcs.bucket,
                "credentials": gcs.credentials_json,
                "endpoint": gcs.endpoint,
            }
        case "vercel":
            return {"token": servers.vercel.token, "api_url": servers.vercel.api_url}
        case _:
            return {"root": str(root)}


async def in_a_process(kind: str, place: dict[str, Any], path: Path, *steps: str) -> dict[str, Any]:
    order = {"store": kind, "place": place, "path": str(path), "steps": steps}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.storage.large_child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await child.communicate(json.dumps(order).encode())
    assert child.returncode == 0
    said: dict[str, Any] = json.loads(output)
    return said


@pytest.mark.timeout(900)  # the emulator of GCS is slow
@pytest.mark.parametrize("kind", ["local", "s3", "b2", "gcs", "vercel"])
@pytest.mark.parametrize("step", ["put_file", "put_stream"])
async def test_a_gibibyte_takes_little_memory(
    servers: Servers, root: Path, gibibyte: Path, kind: str, step: str
) -> None:
    place = place_of(servers, kind, root)
    said = await in_a_process(kind, place, gibibyte, step, "digest")
    if kind != "local":
        await asyncio.to_thread(servers.empty, kind)
    with gibibyte.open("rb") as file:
        assert said["read"] == hashlib.file_digest(file, "sha256").hexdigest()
    print(f"{kind} {step}: peak {said['peak'] / 1e6:.0f} MB")
    assert said["peak"] < MEMORY, f"{said['peak'] / 1e6:.0f} MB"


@pytest.mark.timeout(900)
async def test_sixty_gibibytes_go_in_parts_that_a_store_takes(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(60 * GIBIBYTE)
    with s3_fake() as fake:
        place = {
            "name": BUCKET,
            "access_key_id": "any",
            "secret_access_key": "any",
            "endpoint": fake.endpoint,
        }
        said = await in_a_process("s3", place, path, "put_file")
        stored = fake.state().objects[KEY]
    assert said["taken"] == [60 * GIBIBYTE]
    assert stored.size == sum(stored.parts) == 60 * GIBIBYTE
    assert len(stored.parts) <= MAX_PARTS
    assert min(stored.parts[:-1]) >= SMALLEST_PART
    print(f"{len(stored.parts)} parts, peak {said['peak'] / 1e6:.0f} MB")
    assert said["peak"] < MEMORY
