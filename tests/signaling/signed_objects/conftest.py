"""A desk of its own for each test, at which nothing goes wrong unseen."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.signaling.signed_objects.desk import Desk, opened_desk


@pytest.fixture
async def desk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Desk]:
    async with opened_desk(tmp_path) as opened:
        yield opened
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
