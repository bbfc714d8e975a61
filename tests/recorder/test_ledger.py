"""The states of a file on its way into storage, and the stores that it may go to."""

from __future__ import annotations

import pytest

from recorder.depots import Depots
from recorder.ledger import LOCAL, DeliveryState, kept_at
from storage.errors import StoreMisconfigured
from storage.objects import MemoryStore
from tests.recorder.house import House
from tests.recorder.made_files import ledger, made


def depots(fallback: str | None = None) -> Depots:
    return Depots({"s3": MemoryStore(), "local": MemoryStore()}, "s3", fallback)


def test_a_file_is_stored_at_home_and_away_elsewhere() -> None:
    assert kept_at("s3", depots("local")) == DeliveryState.STORED
    assert kept_at("local", depots("local")) == DeliveryState.AWAY
    assert kept_at("local", depots()) == DeliveryState.AWAY


def test_there_is_a_local_copy_until_it_is_known_to_be_kept() -> None:
    assert {state for state in DeliveryState if state in LOCAL} == {"waiting", "stored"}


@pytest.mark.parametrize("state", DeliveryState)
async def test_the_catalog_takes_every_state(storehouse: House, state: DeliveryState) -> None:
    row = await made(storehouse)
    (delivery,) = await ledger(storehouse, row.id)
    changed = await storehouse.catalog.deliveries.update(delivery.id, "waiting", state=state)
    assert changed.state == state


def test_new_files_go_to_the_main_store_first() -> None:
    assert depots().targets == ("s3",)
    assert depots("local").targets == ("s3", "local")


def test_a_provider_without_settings_is_named() -> None:
    with pytest.raises(StoreMisconfigured, match="gcs"):
        depots().store("gcs")


async def test_closing_closes_every_store() -> None:
    closed = []

    class Closing(MemoryStore):
        async def close(self) -> None:
            closed.append(self)

    stores = {"s3": Closing(), "local": Closing()}
    await Depots(stores, "s3").close()
    assert closed == list(stores.values())
