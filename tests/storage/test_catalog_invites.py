"""Invites in the catalog, on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from storage.catalog import Catalog, InviteRow
from storage.errors import BadValue, InviteExpired, InviteUnknown, InviteUsedUp

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


async def invite(catalog: Catalog, max_uses: int | None = None) -> InviteRow:
    return await catalog.invites.create(
        code_hash="hash",
        room="physics",
        role="participant",
        expires_at=NOON,
        created_by="host",
        max_uses=max_uses,
    )


async def test_an_invite_without_limit_is_good_until_it_expires(catalog: Catalog) -> None:
    made = await invite(catalog)
    assert made == InviteRow("hash", "physics", "participant", NOON, None, 0, "host")
    for uses in (1, 2, 3):
        redeemed = await catalog.invites.redeem("hash", NOON - MOMENT)
        assert redeemed == InviteRow("hash", "physics", "participant", NOON, None, uses, "host")


@pytest.mark.parametrize("after", [timedelta(0), MOMENT, timedelta(days=400)])
async def test_an_expired_invite(catalog: Catalog, after: timedelta) -> None:
    await invite(catalog)
    with pytest.raises(InviteExpired):
        await catalog.invites.redeem("hash", NOON + after)


async def test_an_unknown_invite(catalog: Catalog) -> None:
    await invite(catalog)
    for code_hash in ("", "HASH", "hash ", "' OR '1'='1"):
        with pytest.raises(InviteUnknown):
            await catalog.invites.redeem(code_hash, NOON - MOMENT)


async def test_a_used_up_invite(catalog: Catalog) -> None:
    await invite(catalog, max_uses=2)
    for _ in range(2):
        await catalog.invites.redeem("hash", NOON - MOMENT)
    with pytest.raises(InviteUsedUp):
        await catalog.invites.redeem("hash", NOON - MOMENT)
    with pytest.raises(InviteExpired):
        await catalog.invites.redeem("hash", NOON)


async def test_of_many_guests_at_once_as_many_as_allowed_come_in(
    catalog: Catalog, second_catalog: Catalog
) -> None:
    await invite(catalog, max_uses=3)
    both = (catalog, second_catalog)
    results = await asyncio.gather(
        *(both[n % 2].invites.redeem("hash", NOON - MOMENT) for n in range(20)),
        return_exceptions=True,
    )
    redeemed = [result for result in results if isinstance(result, InviteRow)]
    assert sorted(row.uses for row in redeemed) == [1, 2, 3]
    assert sum(isinstance(result, InviteUsedUp) for result in results) == 17


@pytest.mark.parametrize("max_uses", [0, -1, 1 << 64])
async def test_an_impossible_limit_is_refused(catalog: Catalog, max_uses: int) -> None:
    with pytest.raises(BadValue):
        await invite(catalog, max_uses)


async def test_the_same_code_twice_is_refused(catalog: Catalog) -> None:
    await invite(catalog)
    with pytest.raises(BadValue):
        await invite(catalog)
    await catalog.invites.redeem("hash", NOON - MOMENT)


async def test_times_without_a_zone_are_refused(catalog: Catalog) -> None:
    await invite(catalog)
    with pytest.raises(BadValue):
        await catalog.invites.redeem("hash", NOON.replace(tzinfo=None))
