"""One line for each request, without what would let its reader in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

SECRET_PARAMETERS: Final = frozenset({"access_token", "join_request", "sig"})
HIDDEN: Final = "..."
# Asked every few seconds by monitors; they would drown the rest.
QUIET_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
LONGEST_TARGET: Final = 500


class AccessLog(AbstractAccessLogger):
    """`GET /api/v1/recordings?page=1 200 5120 bytes 3 ms from 127.0.0.1`"""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        if request.path in QUIET_PATHS and response.status < 400:
            return
        self.logger.info(
            "%s %s %d %d bytes %.0f ms from %s",
            request.method,
            redacted_target(request.path, request.query),
            response.status,
            response.body_length,
            time * 1000,
            request.remote,
        )


def redacted_target(path: str, query: Mapping[str, str]) -> str:
    """Path and query without tokens, signatures and invite codes, on one line."""
    shown_path = re.sub(r"^(/api/v1/invites/)[^/]+", rf"\1{HIDDEN}", path)
    shown = [
        f"{key}={HIDDEN if key in SECRET_PARAMETERS else value}" for key, value in query.items()
    ]
    target = shown_path + ("?" + "&".join(shown) if shown else "")
    return "".join(char if char.isprintable() else "?" for char in target)[:LONGEST_TARGET]
