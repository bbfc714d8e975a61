"""The wall clock that parts of the server are given, so that tests can give them another."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)
