"""What an upload to S3 costs, beside `aws s3 cp` in the same run.

    python -m tests.bench.uploading [--megabytes 1024] [--rounds 3]

Both send the same file to the same radosgw, in turns, each in a process of its own; the best round
of each counts. Wall time is that of the whole process, CPU is its user and system time. Our process
does the upload of a delivery: it sends the file, whose hash is known since it was made, and asks for
the object's size. Then, not counted in the ratio, it reads the object back and compares the hash, as a
delivery does and `aws s3 cp` does not; memory is the peak of all of it.

Prints MB/s and CPU seconds of each and the ratios; exits with 1 when ours sends slower than
`aws s3 cp` or takes more than 0.6 of its CPU.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.rig.ceph import REGION, Radosgw, radosgw

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


def compare(megabytes: int, rounds: int) -> bool:
    with tempfile.TemporaryDirectory() as folder, radosgw() as gateway:
        path = Path(folder) / "file"
        with path.open("wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(MEGABYTE))
        sha256 = hashlib.file_digest(path.open("rb"), "sha256").hexdigest()
        bucket, environment = gateway.new_bucket(), environment_of(gateway)
        ours = [sys.executable, "-m", "tests.bench.upload_child"]
        ours += [gateway.endpoint, bucket, str(path), sha256]
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
    given = parser.parse_args()
    sys.exit(0 if compare(given.megabytes, given.rounds) else 1)


if __name__ == "__main__":
    main()
