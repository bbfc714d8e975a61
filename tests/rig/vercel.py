"""A Vercel Blob for tests: the fake, in a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.rig.vercel_fake import DOMAIN, READY, TOKEN_VARIABLE

ROOT = Path(__file__).parents[2]
STORE = "RigStore"


def new_token(store: str = STORE) -> str:
    """A token of the right form; `store` has no underscores."""
    return f"vercel_blob_rw_{store}_{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True)
class VercelRig:
    """A running store. `api_url` is what `VERCEL_BLOB_API_URL` would hold."""

    api_url: str
    token: str = field(repr=False)

    def reached(self, url: str) -> tuple[str, dict[str, str]]:
        """Where a URL of Vercel's can be asked for here, and with which headers."""
        parts = urlsplit(url)
        if not parts.netloc.endswith(DOMAIN):
            return url, {}
        host = urlsplit(self.api_url)
        return urlunsplit(parts._replace(scheme=host.scheme, netloc=host.netloc)), {
            "Host": parts.netloc
        }

    def empty(self) -> None:
        """No objects, no uploads, the right time, a CDN that does not lag."""
        self._ask("/rig/empty", {})

    def move_clock(self, ahead: timedelta) -> None:
        """The store's clock is this much ahead of ours."""
        self._ask("/rig/clock", {"ahead": ahead.total_seconds()})

    def let_cdn_lag(self, lags: bool) -> None:
        """The CDN gives out what is replaced from now on, until it no longer lags."""
        self._ask("/rig/cdn", {"lags": lags})

    def _ask(self, path: str, fields: Mapping[str, object]) -> None:
        body = json.dumps(fields).encode()
        request = urllib.request.Request(self.api_url + path, body, method="POST")
        urllib.request.urlopen(request, timeout=30).close()


@contextmanager
def vercel_rig(token: str | None = None) -> Iterator[VercelRig]:
    """A new, empty store. Raises AssertionError at the end when it had a fault of its own."""
    own_token = token or new_token()
    with tempfile.TemporaryDirectory(prefix="mediaserver-vercel-") as name:
        folder = Path(name)
        (folder / "objects").mkdir()
        with (folder / "errors").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.rig.vercel_fake", str(folder / "objects")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
                env={**os.environ, TOKEN_VARIABLE: own_token},
            )
        with process:  # closes its input, at which it ends, and waits for it
            assert process.stdout is not None
            line = process.stdout.readline()
            if line.startswith(READY):
                port = int(line.removeprefix(READY))
                yield VercelRig(f"http://127.0.0.1:{port}", own_token)
        said = (folder / "errors").read_text()
        assert line.startswith(READY), f"the fake Vercel Blob did not start:\n{said}"
        assert "Traceback" not in said, said[-4000:]
