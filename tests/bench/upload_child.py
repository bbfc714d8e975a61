"""What `tests.bench.uploading` measures: one file sent by a process of its own.

    python -m tests.bench.upload_child ENDPOINT BUCKET FILE SHA256 [--read-back]

With `--read-back` the object is read again and the peak of memory printed, in MiB.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

from storage.objects.s3 import S3Store
from storage.objects.s3_bucket import Bucket


async def send(endpoint: str, bucket: str, path: Path, sha256: str, *, read_back: bool) -> None:
    """One file up, and perhaps down again."""
    store = S3Store(
        Bucket(
            bucket,
            region=os.environ["AWS_DEFAULT_REGION"],
            access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
            secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            endpoint=endpoint,
        )
    )
    stored = await store.put_file("ours", path, "video/mp4", sha256=sha256)
    if read_back and await store.digest("ours") != stored.sha256:
        raise SystemExit("what was read back is not what was sent")
    await store.close()
    if read_back:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)


def main() -> None:
    endpoint, bucket, path, sha256, *more = sys.argv[1:]
    asyncio.run(send(endpoint, bucket, Path(path), sha256, read_back="--read-back" in more))


if __name__ == "__main__":
    main()
