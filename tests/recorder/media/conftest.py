"""Films made once, and libraries to bring them to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.recorder.media.films import film
from tests.recorder.media.shelf import Shelf, open_shelf


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with honest films."""
    folder = tmp_path_factory.mktemp("films")
    film(folder / "plain.mp4")
    film(folder / "plain.webm", container="webm", video="libvpx", audio="libopus", seconds=1.0)
    film(folder / "plain.avi", container="avi", video="mpeg4", audio="mp3", seconds=1.0)
    return folder


@pytest_asyncio.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    async with open_shelf(tmp_path / "shelf", remote=False) as opened:
        yield opened


@pytest_asyncio.fixture(params=["local", "remote"])
async def either_shelf(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Shelf]:
    """With objects on this disk, and out of reach."""
    async with open_shelf(tmp_path / "shelf", remote=request.param == "remote") as opened:
        yield opened
