"""Bytes that were sent: counted in memory, written down now and then, and not lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from signaling.traffic import Traffic, month_of
from storage.catalog import Catalog, TrafficRow
from storage.errors import CatalogUnavailable
from tests.storage.catalogs import migrated


@dataclass
class Meter:
    catalog: Catalog
    now: datetime = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)

    def __post_init__(self) -> None:
        self.traffic = Traffic(self.catalog, lambda: self.now)

    async def written(self, month: str = "2026-11") -> dict[tuple[str, str], int]:
        rows: tuple[TrafficRow, ...] = await self.catalog.usage.traffic(month)
        return {(row.provider, row.room): row.bytes for row in rows}


@pytest.fixture
async def meter(tmp_path: Path) -> AsyncIterator[Meter]:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    await migrated(url)
    catalog = await Catalog.open(url)
    yield Meter(catalog)
    await catalog.close()


async def test_what_was_counted_is_written_by_a_flush(meter: Meter) -> None:
    for _ in range(3):
        meter.traffic.add("s3", "a", 10)
    meter.traffic.add("local", "a", 1)
    assert await meter.written() == {}
    await meter.traffic.flush()
    assert await meter.written() == {("s3", "a"): 30, ("local", "a"): 1}
    await meter.traffic.flush()
    assert await meter.written() == {("s3", "a"): 30, ("local", "a"): 1}


async def test_nothing_is_no_row_and_asks_nobody(meter: Meter) -> None:
    meter.traffic.add("s3", "a", 0)
    await meter.catalog.close()
    await meter.traffic.flush()
    assert await meter.written() == {}


async def test_it_counts_for_the_month_it_is_written_in(meter: Meter) -> None:
    meter.traffic.add("s3", "a", 1)
    await meter.traffic.flush()
    meter.now += timedelta(minutes=1)
    meter.traffic.add("s3", "a", 2)
    await meter.traffic.flush()
    assert await meter.written("2026-11") == {("s3", "a"): 1}
    assert await meter.written("2026-12") == {("s3", "a"): 2}


@pytest.mark.parametrize(
    "error", [CatalogUnavailable("the database is away"), asyncio.CancelledError()]
)
async def test_a_flush_that_fails_loses_nothing(meter: Meter, error: BaseException) -> None:
    """Nor what is counted while it is under way."""
    right = meter.catalog.usage.add_traffic

    async def refuse(_month: str, _sent: Mapping[Any, int]) -> None:
        meter.traffic.add("s3", "a", 5)
        raise error

    meter.catalog.usage.add_traffic = refuse  # type: ignore[method-assign]
    meter.traffic.add("s3", "a", 10)
    with pytest.raises(type(error)):
        await meter.traffic.flush()
    meter.catalog.usage.add_traffic = right  # type: ignore[method-assign]
    await meter.traffic.flush()
    assert await meter.written() == {("s3", "a"): 15}


async def test_what_is_counted_during_a_flush_is_for_the_next(meter: Meter) -> None:
    right = meter.catalog.usage.add_traffic

    async def slowly(month: str, sent: Mapping[Any, int]) -> None:
        meter.traffic.add("s3", "a", 5)
        await right(month, sent)

    meter.catalog.usage.add_traffic = slowly  # type: ignore[method-assign]
    meter.traffic.add("s3", "a", 10)
    await meter.traffic.flush()
    assert await meter.written() == {("s3", "a"): 10}
    meter.catalog.usage.add_traffic = right  # type: ignore[method-assign]
    await meter.traffic.flush()
    assert await meter.written() == {("s3", "a"): 15}


async def test_two_flushes_at_once_write_it_once(meter: Meter) -> None:
    meter.traffic.add("s3", "a", 10)
    await asyncio.gather(meter.traffic.flush(), meter.traffic.flush())
    assert await meter.written() == {("s3", "a"): 10}


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01"),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "2026-12"),
        (datetime(999, 2, 1, tzinfo=UTC), "999-02"),
        (datetime(2026, 12, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2026-12"),
    ],
)
def test_months(moment: datetime, month: str) -> None:
    assert month_of(moment) == month
