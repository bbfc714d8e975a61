"""What recordings take, were sent and cost: the arithmetic, and the route."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from signaling.costs import Usage, usage_of
from signaling.storage_settings import PRICES, Price
from signaling.traffic import month_of
from storage.catalog import MEDIA_LIBRARY, TrafficRow, UsageRow
from tests.signaling.house import House, file_path

MONTH = "2026-11"
GIGABYTE = 10**9
DEAR = {"s3": Price(storage=0.023, egress=0.09), "b2": Price(storage=0.006, egress=0.01)}


def stored(provider: str, room: str, count: int, seconds: float = 60.0, files: int = 1) -> UsageRow:
    return UsageRow(provider, room, count, files, seconds)


def sent(provider: str, room: str, count: int) -> TrafficRow:
    return TrafficRow(MONTH, provider, room, count)


def usage(*rows: UsageRow | TrafficRow) -> Usage:
    kept = [row for row in rows if isinstance(row, UsageRow)]
    return usage_of(MONTH, kept, [row for row in rows if isinstance(row, TrafficRow)], DEAR)


# --- arithmetic -----------------------------------------------------------------------------------


def test_nothing_costs_nothing() -> None:
    nothing = {
        "storageBytes": 0,
        "mediaBytes": 0,
        "files": 0,
        "minutes": 0,
        "egressBytes": 0,
        "monthlyCostUsd": 0,
    }
    found = usage().to_json()
    assert (found["totals"], found["providers"], found["rooms"]) == (nothing, [], [])


def test_keeping_and_sending_have_their_prices() -> None:
    found = usage(stored("s3", "a", 100 * GIGABYTE), sent("s3", "a", 10 * GIGABYTE))
    assert found.totals.monthly_cost_usd == pytest.approx(100 * 0.023 + 10 * 0.09)
    assert (found.totals.storage_bytes, found.totals.egress_bytes) == (10**11, 10**10)


def test_rooms_and_providers_are_summed_and_sorted() -> None:
    found = usage(
        stored("s3", "b", 1),
        stored("b2", "b", 2, seconds=30.0, files=3),
        stored("s3", "a", 4),
        sent("s3", "c", 8),
    ).to_json()
    rooms = [(room["room"], room["provider"], room["storageBytes"]) for room in found["rooms"]]
    assert rooms == [("a", "s3", 4), ("b", "b2", 2), ("b", "s3", 1), ("c", "s3", 0)]
    providers = [
        (each["provider"], each["storageBytes"], each["files"], each["egressBytes"])
        for each in found["providers"]
    ]
    assert providers == [("b2", 2, 3, 0), ("s3", 5, 2, 8)]
    assert (found["totals"]["minutes"], found["totals"]["files"]) == (2.5, 5)


def test_the_media_library_is_part_of_the_sum_and_told_apart() -> None:
    found = usage(
        stored("s3", MEDIA_LIBRARY, 10), stored("s3", "a", 4), sent("s3", MEDIA_LIBRARY, 5)
    ).to_json()
    assert [(each["room"], each["mediaBytes"]) for each in found["rooms"]] == [("", 10), ("a", 0)]
    totals = found["totals"]
    assert (totals["storageBytes"], totals["mediaBytes"], totals["egressBytes"]) == (14, 10, 5)


def test_rooms_are_shown_to_the_hundredth_of_a_cent() -> None:
    assert usage(stored("s3", "a", 10**7)).totals.monthly_cost_usd == 0.0002  # 0.00023
    assert usage(stored("s3", "a", 2_173_913)).totals.monthly_cost_usd == 0.0  # 0.0000499...
    assert usage(stored("b2", "a", 25 * 10**6)).totals.monthly_cost_usd == 0.0002  # 0.00015, up


def test_the_total_is_rounded_once_and_not_the_sum_of_what_was_rounded() -> None:
    rooms = [stored("s3", f"room {number}", 10**6) for number in range(1000)]  # 0.000023 each
    found = usage(*rooms)
    assert {amount.monthly_cost_usd for amount in found.rooms.values()} == {0.0}
    assert found.totals.monthly_cost_usd == 0.023
    assert found.providers["s3"].monthly_cost_usd == 0.023


def test_minutes_are_rounded_once_too() -> None:
    found = usage(*[stored("s3", f"room {number}", 0, seconds=2.9) for number in range(60)])
    assert {amount.minutes for amount in found.rooms.values()} == {0.0}
    assert found.totals.minutes == 2.9


def test_sums_stay_exact_beyond_what_floats_hold() -> None:
    found = usage(stored("s3", "a", 2**60 + 1), stored("s3", "b", 2**60 + 1))
    assert found.totals.storage_bytes == 2**61 + 2


def test_a_provider_without_a_price_is_free() -> None:
    assert usage(stored("local", "a", 10**15)).totals.monthly_cost_usd == 0.0


# --- the route ------------------------------------------------------------------------------------


async def test_usage_as_the_contract_has_it(home: House) -> None:
    row = await home.recorded("blue", content=b"x" * 1000)
    await home.get(file_path(row), home.host("blue"))
    answer = await home.get("/api/v1/usage", home.server())
    amount = {
        "storageBytes": 1000,
        "mediaBytes": 0,
        "files": 1,
        "minutes": 0.0,
        "egressBytes": 1000,
        "monthlyCostUsd": 0.0,
    }
    assert answer.status == 200
    assert answer.data == {
        "month": month_of(datetime.now(UTC)),
        "totals": amount,
        "providers": [{"provider": "local", **amount}],
        "rooms": [{"room": "blue", "provider": "local", **amount}],
        "prices": {
            provider: {"storage": price.storage, "egress": price.egress}
            for provider, price in PRICES.items()
        },
    }


async def test_a_month_without_traffic(home: House) -> None:
    row = await home.recorded("blue", content=b"x" * 1000)
    await home.get(file_path(row), home.host("blue"))
    data = (await home.get("/api/v1/usage?month=2020-02", home.server())).data
    assert (data["month"], data["totals"]["egressBytes"]) == ("2020-02", 0)
    assert data["totals"]["storageBytes"] == 1000


@pytest.mark.parametrize("month", ["2026-13", "2026-00", "2026", "2026-1", "26-11", "٢٠٢٦-11", ""])
async def test_a_wrong_month(home: House, month: str) -> None:
    answer = await home.get("/api/v1/usage", home.server(), params={"month": month})
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert [field["field"] for field in answer.details["fields"]] == ["month"]


async def test_attack_others_look_at_the_bill(home: House) -> None:
    for token in (home.host("blue"), home.participant("blue")):
        answer = await home.get("/api/v1/usage", token)
        assert (answer.status, answer.code) == (403, "not_server")
    assert (await home.get("/api/v1/usage")).status == 401
