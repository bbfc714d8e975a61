"""The wall clock that parts of the server are given, so that tests can give them another; and how its
moments are written in answers.
"""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)


def iso(moment: datetime | None) -> str | None:
    """ISO 8601, UTC, milliseconds: `2026-08-01T09:30:00.000Z`."""
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
