"""A house with a recording service in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.recorder.copy_house import CopyHouse, open_copy_house
from tests.recorder.house import House, open_house


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = await open_house(tmp_path / "house")
    yield opened
    await opened.service.close()
    await opened.catalog.close()


@pytest_asyncio.fixture
async def storehouse(tmp_path: Path) -> AsyncIterator[House]:
    """A house with one clock, which stands still until a test moves it."""
    opened = await open_house(tmp_path / "storehouse", one_clock=True)
    yield opened
    await opened.service.close()
    await opened.catalog.close()


@pytest_asyncio.fixture
async def home(tmp_path: Path) -> AsyncIterator[CopyHouse]:
    """A house whose participants record themselves."""
    async with open_copy_house(tmp_path / "house") as opened:
        yield opened
