"""An S3 for what no real one on this machine can do: objects of any size, and Amazon's refusals.

It is a process of its own (`tests.rig.s3_fake_server`) that counts bytes and keeps none, holds
clients to the limits of Amazon S3, and answers with any error that a test orders. It checks no
signatures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.rig.s3_fake_contents import BUCKET, REGION

__all__ = ["BUCKET", "REGION", "FakeObject", "S3Fake", "State", "s3_fake"]

ROOT = Path(__file__).parents[2]
FOREVER = 1 << 62


@dataclass(frozen=True, slots=True)
class FakeObject:
    """`parts` are the sizes it was sent in, in order."""

    size: int
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class State:
    """`requests` are counted by the operation's name in boto3, `uploads` are those unfinished."""

    requests: Mapping[str, int]
    uploads: int
    objects: Mapping[str, FakeObject]


class S3Fake:
    """A running fake. Its one bucket is `BUCKET`; any keys will do."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def answer_with(self, code: str | None, *, times: int = FOREVER) -> None:
        """Answer the next requests, whatever they are, with this error of S3; None: serve again."""
        self._control(f"/-/answer?code={code or ''}&times={times}")

    def hold(self, key: str, size: int, content_type: str = "video/webm") -> None:
        """Let there be an object of this many zeros, which nobody had to send."""
        query = urlencode({"key": key, "size": size, "type": content_type})
        self._control(f"/-/hold?{query}")

    def state(self) -> State:
        told = self._control("/-/state")
        objects = {
            key: FakeObject(kept["size"], tuple(kept["parts"]))
            for key, kept in told["objects"].items()
        }
        return State(told["requests"], told["uploads"], objects)

    def _control(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(self.endpoint + path, timeout=10) as answer:
            told: dict[str, Any] = json.load(answer)
            return told


@contextmanager
def s3_fake() -> Iterator[S3Fake]:
    """A new, empty fake. Starts in a tenth of a second."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.rig.s3_fake_server"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        assert port, "the fake ended before it listened; its error output says why"
        yield S3Fake(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
