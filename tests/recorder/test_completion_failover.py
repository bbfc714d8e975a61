"""The catalog is lost in the middle of a completion: nobody knows whether it was written down.

A chunk that is acknowledged afterwards has to be in the file, whichever it was.
"""

from __future__ import annotations

from typing import Any

import pytest

from recorder.errors import SetComplete
from storage.catalog import RecordingRow
from storage.errors import CatalogUnavailable
from tests.recorder.copy_house import CopyHouse, chunks


async def fail_over(
    home: CopyHouse, row: RecordingRow, last: int, patch: pytest.MonkeyPatch, *, written: bool
) -> None:
    """A completion whose answer from the database never came."""
    sets = home.catalog.chunk_sets
    right = sets.update

    async def lose(*arguments: Any, **changes: Any) -> None:
        if written:
            await right(*arguments, **changes)
        raise CatalogUnavailable("the connection was lost")

    with patch.context() as away:
        away.setattr(sets, "update", lose)
        with pytest.raises(CatalogUnavailable):
            await home.complete(row, {0: last})


async def test_it_was_written_down(home: CopyHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    row = await home.start()
    await home.send(row, 0, 1)
    await fail_over(home, row, 1, monkeypatch, written=True)
    with pytest.raises(SetComplete):
        await home.send(row, 2)
    await home.complete(row, {0: 1})
    await home.service.stop(row.id)
    (file,) = (await home.until(row, "recorded")).files
    assert await home.stored(file.key) == chunks(1)


async def test_it_was_not_written_down(home: CopyHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    row = await home.start()
    await home.send(row, 0, 1)
    await fail_over(home, row, 1, monkeypatch, written=False)
    await home.send(row, 2)
    await home.complete(row, {0: 2})
    await home.service.stop(row.id)
    (file,) = (await home.until(row, "recorded")).files
    assert await home.stored(file.key) == chunks(2)


@pytest.mark.parametrize("written", [True, False])
async def test_a_chunk_that_was_on_its_way_is_asked_for_again(
    home: CopyHouse, monkeypatch: pytest.MonkeyPatch, *, written: bool
) -> None:
    """Not acknowledged, and not refused for ever either: its sender would stop."""
    row = await home.start()
    await home.send(row, 0, 1)
    admitted = await home.copies.admit(row.id, "alice")
    await fail_over(home, row, 1, monkeypatch, written=written)
    with pytest.raises(CatalogUnavailable):
        home.copies.arrived(admitted, 1)
