"""A process that does nothing but send and read a large object, and says what it took.

    python -m tests.storage.large_child   (a JSON object on standard input)

`store` is "local", "s3", "b2", "gcs" or "vercel" and `place` its constructor's arguments; `steps` are
those of "put_file", "put_stream" and "digest" that are wanted, of the file at `path`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from storage.objects import LocalStore, ObjectStore

BLOCK = 1 << 18
KEY = "recordings/large/object.webm"


def open_store(kind: str, place: dict[str, Any]) -> ObjectStore:
    match kind:
        case "s3" | "b2":
            from storage.objects.s3 import B2Store, S3Store
            from storage.objects.s3_bucket import Bucket

            return (B2Store if kind == "b2" else S3Store)(Bucket(**place))
        case "gcs":
            from storage.objects.gcs import GcsStore

            return GcsStore(**place)
        case "vercel":
            from storage.objects.vercel_blob import VercelBlobStore

            return VercelBlobStore(**place)
        case _:
            return LocalStore(Path(place["root"]))


def peak_memory() -> int:
    """Bytes that this process had in memory at most; `ru_maxrss` would count its parent's too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


async def blocks_of(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while block := await asyncio.to_thread(file.read, BLOCK):
            yield block


async def main() -> None:
    order = json.load(sys.stdin)
    store, path = open_store(order["store"], order["place"]), Path(order["path"])
    said: dict[str, Any] = {"taken": []}
    for step in order["steps"]:
        match step:
            case "put_file":
                stored = await store.put_file(
                    KEY, path, "video/webm", on_progress=said["taken"].append
                )
                said["sha256"] = stored.sha256
            case "put_stream":
                streamed = await store.put_stream(KEY, blocks_of(path), "video/webm")
                said["streamed"] = streamed.sha256
            case "digest":
                said["read"] = await store.digest(KEY)
    await store.close()
    said["taken"] = said["taken"][-1:]
    said["peak"] = peak_memory()
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
