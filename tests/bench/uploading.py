"""What an upload to S3 costs, beside `aws s3 cp` in the same run.

    python -m tests.bench.uploading [--megabytes 1024] [--rounds 3]

Both send the same file to the same radosgw, in turns, each in a process of its own; the best round
of each counts. Wall time is that of the whole process, CPU is its user and system time. Our process
does what a delivery does: it hashes the file, sends it, and asks for the object's size. Then, not
counted in the ratio, it reads the object back, and memory is the peak of all of it.

Prints MB/s and CPU seconds of each and the ratios; exits with 1 when ours sends slower than
`aws s3 cp` or takes more than 0.6 of its CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.rig.ceph import REGION, Radosgw, radosgw
from tests.storage.large_child import peak_memory

MEGABYTE = 1 << 20
MOST_CPU = 0.6
LEAST_SPEED = 1.0


@dataclass(frozen=True, slots=True)
class Cost:
    seconds: float
    cpu: float


def sent_by(command: list[str], environment: dict[str, str]) -> Cost:
    """The cost of a child process, its start included."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds, cpu)


def environment_of(gateway: Radosgw) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "AWS_ACCESS_KEY_ID": gateway.access_key_id,
        "AWS_SECRET_ACCESS_KEY": gateway.secret_access_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


async def send(endpoint: str, bucket: str, path: Path, *, read_back: bool) -> None:
    """The child: one file up, and perhaps down again."""
    from storage.objects.s3 import S3Store
    from storage.objects.s3_bucket import Bucket

    store = S3Store(
        Bucket(
            bucket,
            region=REGION,
            access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
            secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            endpoint=endpoint,
        )
    )
    stored = await store.put_file("ours", path, "video/mp4")
    if read_back and await store.digest("ours") != stored.sha256:
        raise SystemExit("what was read back is not what was sent")
    await store.close()
    print(peak_memory() >> 20)


def compare(megabytes: int, rounds: int) -> bool:
    with tempfile.TemporaryDirectory() as folder, radosgw() as gateway:
        path = Path(folder) / "file"
        with path.open("wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(MEGABYTE))
        bucket, environment = gateway.new_bucket(), environment_of(gateway)
        ours = [sys.executable, "-m", "tests.bench.uploading", "--child"]
        ours += [gateway.endpoint, bucket, str(path)]
        theirs = [str(Path(sys.executable).with_name("aws")), "--endpoint-url", gateway.endpoint]
        theirs += ["s3", "cp", "--quiet", str(path), f"s3://{bucket}/theirs"]
        costs: dict[str, list[Cost]] = {"mediaserver": [], "aws s3 cp": []}
        for _ in range(rounds):
            costs["aws s3 cp"].append(sent_by(theirs, environment))
            costs["mediaserver"].append(sent_by(ours, environment))
            gateway.empty(bucket)
        best = {
            name: Cost(min(each.seconds for each in runs), min(each.cpu for each in runs))
            for name, runs in costs.items()
        }
        for name, cost in best.items():
            print(
                f"{name:<12} {megabytes / cost.seconds:7.0f} MiB/s  {cost.cpu:6.2f} s of CPU"
                f"  ({', '.join(f'{each.seconds:.1f}' for each in costs[name])} s)"
            )
        speed = best["aws s3 cp"].seconds / best["mediaserver"].seconds
        cpu = best["mediaserver"].cpu / best["aws s3 cp"].cpu
        print(
            f"throughput ratio {speed:.2f} (at least {LEAST_SPEED}), CPU ratio {cpu:.2f}", end=" "
        )
        print(f"(at most {MOST_CPU})")
        peak = subprocess.run(
            [*ours, "--read-back"], env=environment, check=True, capture_output=True, text=True
        ).stdout.strip()
        print(f"peak memory of sending and reading back {megabytes} MiB: {peak} MiB")
        return speed >= LEAST_SPEED and cpu <= MOST_CPU


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3, metavar=("ENDPOINT", "BUCKET", "FILE"))
    parser.add_argument("--read-back", action="store_true")
    given = parser.parse_args()
    if given.child:
        endpoint, bucket, path = given.child
        asyncio.run(send(endpoint, bucket, Path(path), read_back=given.read_back))
        return
    sys.exit(0 if compare(given.megabytes, given.rounds) else 1)


if __name__ == "__main__":
    main()
