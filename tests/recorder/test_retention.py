"""What is removed when it was kept long enough, and what never is."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.lifecycle import FINAL, Status
from recorder.progress import Progress
from recorder.retention import PAGE, Expired, Retention, RetentionPolicy, Rule, expired
from storage.catalog import Page, RecordingRow
from storage.errors import CatalogUnavailable
from tests.recorder.house import House
from tests.recorder.made_files import blocks, contents_of, made

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ROOMS = ("a", "b", "c")


def recording(
    number: int, *, room: str = "a", age: float = 0, size: int | None = 100, **more: Any
) -> RecordingRow:
    """A recording that ended `age` days ago."""
    row = RecordingRow(
        id=f"RC_{number}",
        room=room,
        call_id=None,
        status="recorded",
        mode="tracks",
        started_by="host",
        started_at=None,
        stopped_at=NOW - age * DAY,
        duration_seconds=1.0,
        size=size,
        provider="local",
        error=None,
        metadata={},
        integrity=None,
        created_at=NOW - (age + 1) * DAY,
    )
    return replace(row, **more)


def days(number: float) -> RetentionPolicy:
    return RetentionPolicy(Rule(days=number))


def most(size: int) -> RetentionPolicy:
    return RetentionPolicy(Rule(bytes=size))


def ids(
    rows: Iterable[RecordingRow], policy: RetentionPolicy, busy: Collection[str] = ()
) -> list[str]:
    return [each.row.id for each in expired(rows, policy, busy, NOW)]


# --- rules by example -------------------------------------------------------------------------------


def test_without_rules_everything_stays() -> None:
    assert ids([recording(1, age=10_000, size=1 << 60)], RetentionPolicy()) == []
    assert RetentionPolicy().limits_nothing
    assert RetentionPolicy(rooms={"a": Rule()}).limits_nothing
    assert not days(1).limits_nothing
    assert not RetentionPolicy(rooms={"a": Rule(bytes=0)}).limits_nothing


def test_age_counts_from_the_end() -> None:
    rows = [recording(number, age=age) for number, age in enumerate((0, 6.9, 7, 7.1, 100))]
    assert ids(rows, days(7)) == ["RC_4", "RC_3"]
    assert ids(rows, days(0.5)) == ["RC_4", "RC_3", "RC_2", "RC_1"]


def test_without_an_end_age_counts_from_the_beginning() -> None:
    rows = [
        recording(1, stopped_at=None, created_at=NOW - 8 * DAY, status="failed"),
        recording(2, stopped_at=None, created_at=NOW - 6 * DAY, status="failed"),
    ]
    assert ids(rows, days(7)) == ["RC_1"]


@pytest.mark.parametrize("number", [1e9, 1e18, 1e300, math.inf])
def test_any_number_of_days_can_be_said(number: float) -> None:
    assert ids([recording(1, age=100)], days(number)) == []


def test_size_takes_the_oldest_until_the_rest_fits() -> None:
    rows = [recording(number, age=number) for number in range(5)]
    assert ids(rows, most(500)) == []
    assert ids(rows, most(499)) == ["RC_4"]
    assert ids(rows, most(201)) == ["RC_4", "RC_3", "RC_2"]
    assert ids(rows, most(0)) == ["RC_4", "RC_3", "RC_2", "RC_1", "RC_0"]


def test_size_spares_what_takes_no_room() -> None:
    rows = [recording(1, age=9, size=None, status="failed"), recording(2, size=0), recording(3)]
    assert ids(rows, most(0)) == ["RC_3"]


@pytest.mark.parametrize("policy", [days(7), most(0), RetentionPolicy(rooms={"a": Rule(7, 0)})])
def test_what_is_under_way_busy_or_shared_stays(policy: RetentionPolicy) -> None:
    rows = [
        *(
            recording(number, age=100, status=status)
            for number, status in enumerate(Status)
            if status not in FINAL
        ),
        recording(10, age=100),
        recording(11, age=100, shared_until=NOW + timedelta(seconds=1)),
    ]
    assert ids(rows, policy, busy={"RC_10"}) == []
    assert ids(rows, policy) == ["RC_10"]


def test_a_link_that_is_over_protects_nothing() -> None:
    assert ids([recording(1, age=100, shared_until=NOW)], days(7)) == ["RC_1"]


def test_what_stays_counts_and_others_go_for_it() -> None:
    rows = [recording(1, age=3), recording(2, age=2, size=50), recording(3, age=1)]
    assert ids(rows, most(150), busy={"RC_1"}) == ["RC_2", "RC_3"]


def test_a_rooms_age_stands_in_for_the_general_one() -> None:
    policy = RetentionPolicy(Rule(days=7), {"short": Rule(days=1), "long": Rule(days=30)})
    rows = [
        recording(number, room=room, age=age)
        for number, (room, age) in enumerate(
            [("a", 6), ("a", 8), ("short", 2), ("long", 8), ("long", 31)]
        )
    ]
    assert ids(rows, policy) == ["RC_4", "RC_1", "RC_2"]


def test_a_rooms_size_stands_beside_the_general_rules() -> None:
    policy = RetentionPolicy(Rule(days=7, bytes=300), {"a": Rule(bytes=100)})
    rows = [
        recording(0, room="a", age=8),  # of age
        recording(1, room="a", age=5),  # too much for its room
        recording(2, room="a", age=1),
        recording(3, room="b", age=6),  # the oldest of what is too much for all
        recording(4, room="b", age=2),
        recording(5, room="c", age=0),
    ]
    assert ids(rows, policy) == ["RC_0", "RC_3", "RC_1"]
    reasons = {each.row.id: each.reason for each in expired(rows, policy, (), NOW)}
    assert "older than 7 days" in reasons["RC_0"]
    assert "room a" in reasons["RC_1"]
    assert "300 bytes" in reasons["RC_3"]


def test_what_one_rule_takes_the_next_need_not() -> None:
    policy = RetentionPolicy(Rule(days=7, bytes=200), {"a": Rule(bytes=100)})
    rows = [
        recording(0, room="b", age=8),
        recording(1, room="a", age=2),
        recording(2, room="a", age=1),
        recording(3, room="b", age=5),
    ]
    assert ids(rows, policy) == ["RC_0", "RC_1"]


# --- rules for any recordings -----------------------------------------------------------------------

LIMIT = st.none() | st.integers(0, 2000)
RULE = st.builds(Rule, days=st.none() | st.floats(0.01, 50), bytes=LIMIT)
POLICY = st.builds(
    RetentionPolicy, general=RULE, rooms=st.dictionaries(st.sampled_from(ROOMS), RULE)
)


@st.composite
def recordings(draw: st.DrawFn) -> list[RecordingRow]:
    one = st.fixed_dictionaries(
        {
            "room": st.sampled_from(ROOMS),
            "age": st.integers(0, 60),
            "size": st.none() | st.integers(0, 500),
            "status": st.sampled_from(["recorded"] * 4 + [str(status) for status in Status]),
            "shared_until": st.sampled_from([None] * 4 + [NOW - DAY, NOW + DAY]),
        }
    )
    return [recording(number, **fields) for number, fields in enumerate(draw(st.lists(one)))]


BUSY = st.frozensets(st.integers(0, 20).map(lambda number: f"RC_{number}"), max_size=3)


def may_go(row: RecordingRow, busy: Collection[str]) -> bool:
    shared = row.shared_until is not None and row.shared_until > NOW
    return row.status in {"recorded", "failed"} and row.id not in busy and not shared


def end(row: RecordingRow) -> datetime:
    assert row.stopped_at is not None
    return row.stopped_at


def total(rows: Iterable[RecordingRow]) -> int:
    return sum(row.size or 0 for row in rows)


def scopes(
    rows: Sequence[RecordingRow], policy: RetentionPolicy
) -> list[tuple[list[RecordingRow], int]]:
    """What each limit of size is about."""
    found = [
        ([row for row in rows if row.room == room], rule.bytes)
        for room, rule in policy.rooms.items()
        if rule.bytes is not None
    ]
    if policy.general.bytes is not None:
        found.append((list(rows), policy.general.bytes))
    return found


def split(
    rows: Sequence[RecordingRow], policy: RetentionPolicy, busy: Collection[str]
) -> tuple[list[Expired], list[RecordingRow]]:
    gone = expired(rows, policy, busy, NOW)
    taken = {each.row.id for each in gone}
    assert len(taken) == len(gone)
    return gone, [row for row in rows if row.id not in taken]


@given(recordings(), POLICY, BUSY)
def test_only_what_may_go_goes_and_the_oldest_first(
    rows: list[RecordingRow], policy: RetentionPolicy, busy: frozenset[str]
) -> None:
    gone, _ = split(rows, policy, busy)
    assert all(may_go(each.row, busy) and each.row in rows for each in gone)
    ends = [end(each.row) for each in gone]
    assert ends == sorted(ends)


@given(recordings(), POLICY, BUSY)
def test_all_limits_are_kept_as_far_as_they_can_be(
    rows: list[RecordingRow], policy: RetentionPolicy, busy: frozenset[str]
) -> None:
    _, kept = split(rows, policy, busy)
    for row in kept:
        limit = policy.days_in(row.room)
        if limit is not None and may_go(row, busy):
            assert (NOW - end(row)) / DAY <= limit
    for scope, limit_bytes in scopes(kept, policy):
        removable = [row for row in scope if row.size and may_go(row, busy)]
        assert total(scope) <= limit_bytes or not removable


@given(recordings(), POLICY, BUSY)
def test_no_more_goes_than_has_to(
    rows: list[RecordingRow], policy: RetentionPolicy, busy: frozenset[str]
) -> None:
    """Whatever goes is of age, or without it and with all that is younger a limit is passed."""
    gone, kept = split(rows, policy, busy)
    by_age = [each.row for each in gone if each.reason.startswith("older")]
    for row in by_age:
        limit = policy.days_in(row.room)
        assert limit is not None
        assert (NOW - end(row)) / DAY > limit
    by_size = [each.row for each in gone if not each.reason.startswith("older")]
    for row in by_size:
        younger = [other for other in by_size if (end(other), other.id) > (end(row), row.id)]
        assert any(
            row in scope and total(scope) > limit
            for scope, limit in scopes([*kept, row, *younger], policy)
        )


@given(recordings(), POLICY, BUSY)
def test_younger_ones_go_only_when_no_older_one_could(
    rows: list[RecordingRow], policy: RetentionPolicy, busy: frozenset[str]
) -> None:
    gone, kept = split(rows, policy, busy)
    for each in gone:
        if each.reason.startswith("there are more"):
            older = [row for row in kept if (end(row), row.id) < (end(each.row), each.row.id)]
            assert not [row for row in older if row.size and may_go(row, busy)]


@given(recordings(), POLICY, BUSY, st.randoms(use_true_random=False))
def test_a_second_look_finds_nothing_more_in_any_order(
    rows: list[RecordingRow], policy: RetentionPolicy, busy: frozenset[str], dice: random.Random
) -> None:
    gone, kept = split(rows, policy, busy)
    shuffled = list(rows)
    dice.shuffle(shuffled)
    assert expired(shuffled, policy, busy, NOW) == gone
    assert expired(kept, policy, busy, NOW) == []


# --- with a catalog and a store ---------------------------------------------------------------------


async def stored(
    house: House, content: bytes, *, age: float = 0, room: str = "a", **changes: Any
) -> RecordingRow:
    """A recording that is stored and ended `age` days ago."""
    row = await made(house, content, room=room)
    files = await house.deliverer.deliver(row.id, Progress())
    await house.catalog.recordings.set_files(row.id, files)
    await house.catalog.deliveries.enter(row.id, ())
    return await house.catalog.recordings.update(
        row.id,
        status=Status.RECORDED,
        size=len(content),
        stopped_at=house.now - age * DAY,
        **changes,
    )


def retention(house: House, policy: RetentionPolicy) -> Retention:
    return Retention(
        house.catalog,
        house.depots,
        house.folder / "journals",
        policy,
        clock=lambda: house.now,
    )


async def left(house: House) -> set[str]:
    """Ids of the recordings that are left, each with its objects, and no other object."""
    rows = (await house.catalog.recordings.find()).items
    keys: Mapping[str, bytes] = await contents_of(house.store)
    assert set(keys) == {file.key for row in rows for file in row.files}
    return {row.id for row in rows}


async def test_what_has_expired_is_removed(storehouse: House) -> None:
    old = await stored(storehouse, b"old", age=8)
    new = await stored(storehouse, b"new", age=6)
    await retention(storehouse, days(7)).look()
    assert await left(storehouse) == {new.id}
    assert not storehouse.journals(old.id).exists()
    storehouse.now += 2 * DAY
    await retention(storehouse, days(7)).look()
    assert await left(storehouse) == set()


async def test_a_dry_run_touches_nothing(storehouse: House) -> None:
    row = await stored(storehouse, b"old", age=8)
    (each,) = await retention(storehouse, days(7)).due()
    assert (each.row, each.reason) == (row, "older than 7 days")
    assert await left(storehouse) == {row.id}
    assert await storehouse.row(row.id) == row
    assert storehouse.journals(row.id).exists()


async def test_without_rules_the_catalog_is_not_asked(storehouse: House) -> None:
    async def refuse(**_filters: Any) -> Page[RecordingRow]:
        raise AssertionError("the catalog was asked")

    storehouse.catalog.recordings.find = refuse  # type: ignore[method-assign]
    assert await retention(storehouse, RetentionPolicy()).due() == []


async def test_an_object_that_another_recording_shares_stays(storehouse: House) -> None:
    old = await stored(storehouse, b"shared", age=8)
    new = await stored(storehouse, b"own", age=1)
    both = [*new.files, replace(old.files[0], id="FI_shared")]
    await storehouse.catalog.recordings.set_files(new.id, both)
    await retention(storehouse, days(7)).look()
    assert await left(storehouse) == {new.id}
    assert await storehouse.store.digest(old.files[0].key) == old.files[0].sha256


async def test_what_the_ledger_has_in_hand_stays(storehouse: House) -> None:
    row = await stored(storehouse, b"old", age=8)
    other = await made(storehouse, b"other")
    await storehouse.catalog.recordings.update(
        other.id, status="recorded", stopped_at=storehouse.now - 9 * DAY
    )
    assert [each.row.id for each in await retention(storehouse, days(7)).due()] == [row.id]


@pytest.mark.parametrize("status", ["queued", "rendering", "uploading", "done"])
async def test_what_is_being_rendered_stays_until_it_is_done(
    storehouse: House, status: str
) -> None:
    row = await stored(storehouse, b"old", age=8)
    chosen = await retention(storehouse, days(7)).due()
    render = await storehouse.catalog.renders.create(row.id, {}, "host")
    await storehouse.catalog.renders.update(render.id, {"queued"}, status=status)
    await retention(storehouse, days(7)).look()
    if status == "done":
        assert await left(storehouse) == set()
        return
    assert await left(storehouse) == {row.id}
    # nor when it was chosen before somebody asked for the render
    assert not await retention(storehouse, days(7)).remove(chosen[0])


async def test_a_store_that_is_down_is_met_again(
    storehouse: House, caplog: pytest.LogCaptureFixture
) -> None:
    row = await stored(storehouse, b"old", age=8)
    storehouse.store.down = True
    await retention(storehouse, days(7)).look()
    assert f"{row.id} could not be removed: the store is down" in caplog.text
    storehouse.store.down = False
    assert await left(storehouse) == {row.id}
    await retention(storehouse, days(7)).look()
    assert await left(storehouse) == set()


async def test_one_that_can_not_be_removed_does_not_hold_up_the_others(storehouse: House) -> None:
    stuck = await stored(storehouse, b"stuck", age=9)
    gone = await stored(storehouse, b"gone", age=8)
    await storehouse.catalog.recordings.set_files(
        stuck.id, [replace(stuck.files[0], provider="gcs")]
    )
    await retention(storehouse, days(7)).look()
    assert await left(storehouse) == {stuck.id}
    assert await storehouse.catalog.recordings.get(gone.id) is None


async def test_a_catalog_that_is_away_ends_the_round(storehouse: House) -> None:
    row = await stored(storehouse, b"old", age=8)

    async def refuse(*_place: Any) -> None:
        raise CatalogUnavailable("the database is away")

    storehouse.catalog.recordings.delete = refuse  # type: ignore[method-assign]
    with pytest.raises(CatalogUnavailable):
        await retention(storehouse, days(7)).look()
    assert (await storehouse.row(row.id)).id == row.id


@pytest.mark.parametrize("meanwhile", ["shared", "retried", "deleted"])
async def test_what_changed_since_it_was_chosen_is_let_be(
    storehouse: House, meanwhile: str
) -> None:
    """Many removals take a while."""
    row = await stored(storehouse, b"old", age=8)
    looks = retention(storehouse, days(7))
    (each,) = await looks.due()
    match meanwhile:
        case "shared":
            await storehouse.catalog.recordings.update(
                row.id, shared_until=storehouse.now + timedelta(hours=1)
            )
        case "retried":
            await storehouse.catalog.recordings.update(row.id, status=Status.PROCESSING)
        case "deleted":
            await storehouse.catalog.recordings.delete(row.id)
            await storehouse.store.put_stream(row.files[0].key, blocks(b"new"), "video/webm")
    assert not await looks.remove(each)
    assert storehouse.journals(row.id).exists()
    assert len(await contents_of(storehouse.store)) == 1


async def test_a_recording_that_begins_while_pages_are_read_is_counted_once(
    storehouse: House,
) -> None:
    """It moves the last of one page to the beginning of the next."""
    rows = [recording(number, age=number, size=1) for number in range(PAGE + 10)]

    async def find(*, page: int, limit: int) -> Page[RecordingRow]:
        items = tuple(rows[(page - 1) * limit : page * limit])
        rows.insert(0, recording(len(rows), status="recording", size=None))
        return Page(items, len(rows))

    storehouse.now = NOW
    storehouse.catalog.recordings.find = find  # type: ignore[assignment]
    everything = PAGE + 10
    assert await retention(storehouse, most(everything)).due() == []
    del rows[: len(rows) - everything]
    assert len(await retention(storehouse, most(everything - 3)).due()) == 3
