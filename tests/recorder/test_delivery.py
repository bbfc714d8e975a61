"""Finished files into storage: what is tried again, where they go meanwhile, and what is believed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recorder.delivery import AT_ONCE, REST, Deliverer
from recorder.depots import Depots
from recorder.errors import LocalCopyLost
from recorder.progress import LONGEST_PAUSE, Progress
from storage.catalog import DeliveryRow
from storage.errors import ObjectChanged, ObjectNotFound, UploadGone
from storage.objects import ObjectInfo
from tests.recorder.house import NOW, FlakyStore, House
from tests.recorder.made_files import (
    SlowStore,
    Told,
    contents_of,
    ledger,
    local_copies,
    made,
    states,
)


class Patience:
    """A way to sleep that only ends when the test says so. `begun` is set by every new sleep."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.begun = asyncio.Event()
        self._over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.begun.set()
        over = self._over
        await over.wait()

    def end(self) -> None:
        over, self._over = self._over, asyncio.Event()
        self.begun.clear()
        over.set()


@pytest.fixture
def patience() -> Patience:
    return Patience()


def deliverer(house: House, sleep: Callable[[float], Awaitable[None]]) -> Deliverer:
    """As after a restart."""
    return Deliverer(
        house.catalog,
        house.depots,
        house.folder / "journals",
        clock=lambda: house.now,
        sleep=sleep,
    )


async def one(house: House, recording_id: str) -> DeliveryRow:
    (row,) = await ledger(house, recording_id)
    return row


# --- the plain way ----------------------------------------------------------------------------------


async def test_files_are_stored_under_their_keys(storehouse: House) -> None:
    row = await made(storehouse, b"one", b"two", room="a/b")
    files = await storehouse.deliverer.deliver(row.id, Progress())
    assert await contents_of(storehouse.store) == {
        f"recordings/a%2Fb/{row.id}/{file.id}.webm": content
        for file, content in zip(files, (b"one", b"two"), strict=True)
    }
    assert [(file.participant_id, file.provider) for file in files] == [
        ("guest-0", "memory"),
        ("guest-1", "memory"),
    ]
    assert await states(storehouse, row.id) == ["stored", "stored"]
    assert [each.file for each in await ledger(storehouse, row.id)] == list(files)
    assert len(local_copies(storehouse, row.id)) == 2


async def test_what_is_stored_already_is_not_stored_again(storehouse: House) -> None:
    row = await made(storehouse, b"one", b"two")
    first = await storehouse.deliverer.deliver(row.id, Progress())
    assert await storehouse.deliverer.deliver(row.id, Progress()) == first
    assert storehouse.store.puts == 2


async def test_an_empty_file_is_stored_too(storehouse: House) -> None:
    row = await made(storehouse, b"")
    (file,) = await storehouse.deliverer.deliver(row.id, Progress())
    assert await contents_of(storehouse.store) == {file.key: b""}


async def test_a_few_files_go_at_once(storehouse: House) -> None:
    store = storehouse.store = SlowStore(room_for=AT_ONCE)
    storehouse.service = storehouse.another_service()
    row = await made(storehouse, *(bytes([number]) for number in range(AT_ONCE + 2)))
    delivering = asyncio.create_task(storehouse.deliverer.deliver(row.id, Progress()))
    await store.full.wait()
    store.let_go.set()
    assert len(await delivering) == AT_ONCE + 2
    assert store.most_at_once == AT_ONCE


# --- progress ---------------------------------------------------------------------------------------


async def test_progress_goes_from_0_to_1_over_all_files(storehouse: House) -> None:
    storehouse.store = SlowStore(held=False)
    storehouse.service = storehouse.another_service()
    row = await made(storehouse, b"0123", b"01234567")
    told = Told()
    await storehouse.deliverer.deliver(row.id, told)
    assert told.fractions == sorted(told.fractions)
    assert (told.fractions[0], told.fractions[-1]) == (0.0, 1.0)
    assert {1 / 12, 2 / 12} & set(told.fractions)


async def test_progress_counts_what_is_stored_already(storehouse: House) -> None:
    storehouse.store = SlowStore(held=False)
    storehouse.service = storehouse.another_service()
    row = await made(storehouse, b"0123", b"0123")
    first, _ = await ledger(storehouse, row.id)
    kept = replace(first.file, provider="memory")
    await storehouse.catalog.deliveries.update(first.id, "waiting", state="stored", file=kept)
    told = Told()
    await storehouse.deliverer.deliver(row.id, told)
    assert told.fractions[:2] == [0.5, 0.625]


async def test_progress_stays_below_1_when_a_file_has_grown(storehouse: House) -> None:
    row = await made(storehouse, b"0123")
    local_copies(storehouse, row.id)[0].write_bytes(b"0123456789")
    told = Told()
    with pytest.raises(LocalCopyLost):
        await storehouse.deliverer.deliver(row.id, told)
    assert max(told.fractions) <= 1.0


# --- waiting for a store ----------------------------------------------------------------------------


async def test_a_failure_is_noted_with_when_to_try_again(
    storehouse: House, patience: Patience
) -> None:
    row = await made(storehouse)
    storehouse.store.down = True
    progress = Progress()
    delivering = asyncio.create_task(
        deliverer(storehouse, patience.sleep).deliver(row.id, progress)
    )
    await patience.begun.wait()
    waiting = await one(storehouse, row.id)
    assert (waiting.state, waiting.attempts, waiting.error) == ("waiting", 1, "the store is down")
    assert waiting.due_at == NOW + timedelta(seconds=1)
    assert (await storehouse.row(row.id)).error == "waiting for storage: the store is down"
    assert progress.let_pass.is_set()
    storehouse.store.down = False
    patience.end()
    (file,) = await delivering
    stored = await one(storehouse, row.id)
    assert (stored.state, stored.attempts, stored.error) == ("stored", 0, None)
    assert stored.file == file


async def test_the_pauses_grow_up_to_a_limit(storehouse: House) -> None:
    row = await made(storehouse)
    storehouse.store.refusals = 7
    await storehouse.deliverer.deliver(row.id, Progress())
    assert storehouse.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


async def test_the_backoff_is_remembered_over_restarts(
    storehouse: House, patience: Patience
) -> None:
    row = await made(storehouse)
    await storehouse.catalog.deliveries.update(
        (await one(storehouse, row.id)).id,
        "waiting",
        attempts=5,
        due_at=NOW + timedelta(seconds=16),
        error="the store is down",
    )
    storehouse.now += timedelta(seconds=6)
    storehouse.store.refusals = 1
    delivering = asyncio.create_task(
        deliverer(storehouse, patience.sleep).deliver(row.id, Progress())
    )
    await patience.begun.wait()
    assert (patience.pauses, storehouse.store.puts) == ([10.0], 0)
    patience.end()
    await patience.begun.wait()
    assert (patience.pauses, storehouse.store.puts) == ([10.0, 30.0], 1)
    assert (await one(storehouse, row.id)).attempts == 6
    patience.end()
    await delivering


async def test_a_clock_that_was_wrong_delays_nothing_for_long(storehouse: House) -> None:
    row = await made(storehouse)
    await storehouse.catalog.deliveries.update(
        (await one(storehouse, row.id)).id,
        "waiting",
        attempts=1,
        due_at=NOW + timedelta(days=3650),
    )
    await storehouse.deliverer.deliver(row.id, Progress())
    assert storehouse.pauses == [LONGEST_PAUSE]


async def test_hurry_ends_the_wait(storehouse: House, patience: Patience) -> None:
    row, other = await made(storehouse, b"one"), await made(storehouse, b"other")
    storehouse.store.down = True
    deliverer_ = deliverer(storehouse, patience.sleep)
    tasks = []
    for each in (row, other):
        tasks.append(asyncio.create_task(deliverer_.deliver(each.id, Progress())))
        await patience.begun.wait()
        patience.begun.clear()
    storehouse.store.down = False
    await deliverer_.look_for_hurry()  # nobody asked for it yet
    assert [(await one(storehouse, each.id)).attempts for each in (row, other)] == [1, 1]
    assert await storehouse.catalog.deliveries.hurry(row.id) == 1
    await deliverer_.look_for_hurry()
    (file,) = await tasks[0]
    assert await contents_of(storehouse.store) == {file.key: b"one"}
    assert not tasks[1].done()
    patience.end()
    await tasks[1]


async def test_hurry_with_nobody_waiting_asks_nothing(storehouse: House) -> None:
    async def refuse(_states: object) -> tuple[DeliveryRow, ...]:
        raise AssertionError("the catalog was asked")

    storehouse.catalog.deliveries.in_states = refuse  # type: ignore[method-assign]
    await storehouse.deliverer.look_for_hurry()


async def test_hurry_comes_too_late_for_a_store_that_is_still_down(
    storehouse: House, patience: Patience
) -> None:
    row = await made(storehouse)
    storehouse.store.down = True
    deliverer_ = deliverer(storehouse, patience.sleep)
    delivering = asyncio.create_task(deliverer_.deliver(row.id, Progress()))
    await patience.begun.wait()
    patience.begun.clear()
    await storehouse.catalog.deliveries.hurry()
    await deliverer_.look_for_hurry()
    await patience.begun.wait()
    assert storehouse.store.puts == 2
    assert (await one(storehouse, row.id)).attempts == 2
    storehouse.store.down = False
    patience.end()
    await delivering


# --- the fallback -----------------------------------------------------------------------------------


async def test_the_fallback_takes_over_at_the_first_failure(storehouse: House) -> None:
    fallback = storehouse.open_fallback()
    storehouse.store.down = True
    row = await made(storehouse, b"one")
    (file,) = await storehouse.deliverer.deliver(row.id, Progress())
    assert (file.provider, await contents_of(fallback)) == ("fallback", {file.key: b"one"})
    assert (storehouse.store.puts, storehouse.pauses) == (1, [])
    delivery = await one(storehouse, row.id)
    assert (delivery.state, delivery.error, delivery.file) == ("away", None, file)
    assert (await storehouse.row(row.id)).error is None


async def test_a_main_store_that_failed_rests(storehouse: House) -> None:
    storehouse.open_fallback()
    storehouse.store.down = True
    for number in range(3):
        row = await made(storehouse, bytes([number]))
        await storehouse.deliverer.deliver(row.id, Progress())
        assert await states(storehouse, row.id) == ["away"]
    assert storehouse.store.puts == 1
    storehouse.now += REST - timedelta(seconds=1)
    storehouse.store.down = False
    row = await made(storehouse)
    await storehouse.deliverer.deliver(row.id, Progress())
    assert (await states(storehouse, row.id), storehouse.store.puts) == (["away"], 1)
    storehouse.now += timedelta(seconds=1)
    row = await made(storehouse)
    await storehouse.deliverer.deliver(row.id, Progress())
    assert (await states(storehouse, row.id), storehouse.store.puts) == (["stored"], 2)


async def test_a_main_store_without_a_fallback_never_rests(storehouse: House) -> None:
    row = await made(storehouse)
    storehouse.store.refusals = 3
    await storehouse.deliverer.deliver(row.id, Progress())
    assert storehouse.store.puts == 4


async def test_while_both_are_down_it_waits_for_either(
    storehouse: House, patience: Patience
) -> None:
    fallback = storehouse.open_fallback()
    storehouse.store.down = fallback.down = True
    fallback.reason = "the other store is down"
    row = await made(storehouse)
    delivering = asyncio.create_task(
        deliverer(storehouse, patience.sleep).deliver(row.id, Progress())
    )
    await patience.begun.wait()
    assert (storehouse.store.puts, fallback.puts) == (1, 1)
    assert (await storehouse.row(row.id)).error == "waiting for storage: the store is down"
    storehouse.now += timedelta(seconds=1)
    storehouse.store.down = False  # it rests, but the fallback can't take it either
    patience.end()
    (file,) = await delivering
    assert (file.provider, await states(storehouse, row.id)) == ("memory", ["stored"])


async def test_a_main_store_that_took_a_file_rests_no_more(storehouse: House) -> None:
    fallback = storehouse.open_fallback()
    storehouse.store.down = True
    for down, state in ((False, "away"), (True, "stored"), (False, "stored")):
        fallback.down = down
        row = await made(storehouse)
        await storehouse.deliverer.deliver(row.id, Progress())
        assert await states(storehouse, row.id) == [state]
        storehouse.store.down = False


async def test_a_main_store_whose_settings_are_gone_is_one_that_is_down(
    storehouse: House, tmp_path: Path
) -> None:
    fallback = FlakyStore()
    elsewhere = Deliverer(
        storehouse.catalog,
        Depots({"fallback": fallback}, "memory", "fallback"),
        storehouse.folder / "journals",
        clock=lambda: storehouse.now,
    )
    row = await made(storehouse)
    (file,) = await elsewhere.deliver(row.id, Progress())
    assert (file.provider, list(await contents_of(fallback))) == ("fallback", [file.key])


# --- what is believed -------------------------------------------------------------------------------


def wrong_once(store: FlakyStore, what: str) -> None:
    """The first answer of `head` or `digest` is not what was stored, or is none."""
    head, digest = store.head, store.digest
    wrong = [what]

    async def wrong_head(key: str) -> ObjectInfo:
        info = await head(key)
        if "size" in wrong:
            wrong.clear()
            return replace(info, size=info.size - 1)
        if "gone" in wrong:
            wrong.clear()
            raise ObjectNotFound("it is gone")
        return info

    async def wrong_digest(key: str) -> str:
        if "content" in wrong:
            wrong.clear()
            return hashlib.sha256(b"other bytes").hexdigest()
        if "changed" in wrong:
            wrong.clear()
            raise ObjectChanged("it was replaced")
        return await digest(key)

    store.head, store.digest = wrong_head, wrong_digest  # type: ignore[method-assign]


@pytest.mark.parametrize("what", ["size", "content", "gone", "changed"])
async def test_an_object_that_is_not_what_was_stored_is_stored_again(
    storehouse: House, what: str
) -> None:
    row = await made(storehouse, b"one")
    wrong_once(storehouse.store, what)
    (file,) = await storehouse.deliverer.deliver(row.id, Progress())
    assert (storehouse.store.puts, storehouse.pauses) == (2, [1.0])
    assert await contents_of(storehouse.store) == {file.key: b"one"}


async def test_an_upload_that_somebody_ended_is_begun_again(storehouse: House) -> None:
    right, gone = storehouse.store.put_file, [True]

    async def put_file(*place: Any, **options: Any) -> Any:
        if gone.pop() if gone else False:
            raise UploadGone("the upload is over")
        return await right(*place, **options)

    storehouse.store.put_file = put_file  # type: ignore[method-assign]
    row = await made(storehouse)
    await storehouse.deliverer.deliver(row.id, Progress())
    assert storehouse.pauses == [1.0]


async def test_a_main_store_that_spoils_one_object_does_not_rest(storehouse: House) -> None:
    storehouse.open_fallback()
    wrong_once(storehouse.store, "content")
    spoilt, sound = await made(storehouse, b"one"), await made(storehouse, b"two")
    await storehouse.deliverer.deliver(spoilt.id, Progress())
    await storehouse.deliverer.deliver(sound.id, Progress())
    assert await states(storehouse, spoilt.id) == ["away"]
    assert await states(storehouse, sound.id) == ["stored"]


@pytest.mark.parametrize("content", [b"other", b"longer than it was", b"", None])
async def test_a_local_file_that_is_not_what_was_made_is_not_delivered(
    storehouse: House, content: bytes | None
) -> None:
    row = await made(storehouse, b"media")
    (path,) = local_copies(storehouse, row.id)
    path.write_bytes(content) if content is not None else path.unlink()
    with pytest.raises(LocalCopyLost):
        await storehouse.deliverer.deliver(row.id, Progress())
    assert (await one(storehouse, row.id)).state == "waiting"
    assert await storehouse.deliverer.can_go_on(row.id) is (content is not None)


async def test_a_lost_file_ends_the_delivery_of_the_others(storehouse: House) -> None:
    store = storehouse.store = SlowStore(room_for=1)
    storehouse.service = storehouse.another_service()
    row = await made(storehouse, b"one", b"two")
    local_copies(storehouse, row.id)[0].unlink()
    with pytest.raises(LocalCopyLost):
        await storehouse.deliverer.deliver(row.id, Progress())
    assert store.running == 0


async def test_what_is_not_in_the_ledger_can_not_go_on(storehouse: House) -> None:
    row = await made(storehouse)
    await storehouse.catalog.deliveries.enter(row.id, ())
    assert not await storehouse.deliverer.can_go_on(row.id)


async def test_what_is_kept_can_go_on_without_a_local_copy(storehouse: House) -> None:
    row = await made(storehouse)
    await storehouse.deliverer.deliver(row.id, Progress())
    local_copies(storehouse, row.id)[0].unlink()
    assert await storehouse.deliverer.can_go_on(row.id)
