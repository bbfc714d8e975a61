"""What is stored and was sent, and its cost: sums and products, made exactly and rounded once. Pure.

The cost of a month is that of keeping what is stored now for a whole month, and of what this server
sent in that month. It is an estimate: what browsers fetched from a bucket or a CDN by link is not in
it, nor are requests, free allowances or taxes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from signaling.storage_settings import GIGABYTE, Price
from storage.catalog import MEDIA_LIBRARY, TrafficRow, UsageRow

DOLLAR_STEP: Final = Decimal("0.0001")  # a room's share is often less than a cent
MINUTE_STEP: Final = Decimal("0.1")
FREE: Final = Price()


@dataclass(frozen=True, slots=True)
class Amount:
    """`seconds` of media, `dollars` a month. Both exact; what is shown is rounded.

    `media_bytes` are those of `storage_bytes` that the media library takes.
    """

    storage_bytes: int = 0
    media_bytes: int = 0
    files: int = 0
    seconds: Decimal = Decimal(0)
    egress_bytes: int = 0
    dollars: Decimal = Decimal(0)

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.storage_bytes + other.storage_bytes,
            self.media_bytes + other.media_bytes,
            self.files + other.files,
            self.seconds + other.seconds,
            self.egress_bytes + other.egress_bytes,
            self.dollars + other.dollars,
        )

    @property
    def minutes(self) -> float:
        return float((self.seconds / 60).quantize(MINUTE_STEP, ROUND_HALF_UP))

    @property
    def monthly_cost_usd(self) -> float:
        return float(self.dollars.quantize(DOLLAR_STEP, ROUND_HALF_UP))

    def to_json(self) -> dict[str, Any]:
        return {
            "storageBytes": self.storage_bytes,
            "mediaBytes": self.media_bytes,
            "files": self.files,
            "minutes": self.minutes,
            "egressBytes": self.egress_bytes,
            "monthlyCostUsd": self.monthly_cost_usd,
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """`providers` by name; `rooms` by room and provider, the media library first, as the room
    MEDIA_LIBRARY. Both in this order.
    """

    month: str
    totals: Amount
    providers: Mapping[str, Amount]
    rooms: Mapping[tuple[str, str], Amount]
    prices: Mapping[str, Price]

    def to_json(self) -> dict[str, Any]:
        """In the form of `GET /api/v1/usage`."""
        return {
            "month": self.month,
            "totals": self.totals.to_json(),
            "providers": [
                {"provider": provider, **amount.to_json()}
                for provider, amount in self.providers.items()
            ],
            "rooms": [
                {"room": room, "provider": provider, **amount.to_json()}
                for (room, provider), amount in self.rooms.items()
            ],
            "prices": {provider: price.model_dump() for provider, price in self.prices.items()},
        }


def usage_of(
    month: str,
    stored: Iterable[UsageRow],
    sent: Iterable[TrafficRow],
    prices: Mapping[str, Price],
) -> Usage:
    """`stored` is what there is now, `sent` the traffic of `month`. Without a price it is free."""
    rooms: dict[tuple[str, str], Amount] = defaultdict(Amount)
    for kept in stored:
        dollars = _dollars(kept.bytes, prices.get(kept.provider, FREE).storage)
        rooms[kept.room, kept.provider] += Amount(
            storage_bytes=kept.bytes,
            media_bytes=kept.bytes if kept.room == MEDIA_LIBRARY else 0,
            files=kept.files,
            seconds=Decimal(str(kept.seconds)),
            dollars=dollars,
        )
    for each in sent:
        dollars = _dollars(each.bytes, prices.get(each.provider, FREE).egress)
        rooms[each.room, each.provider] += Amount(egress_bytes=each.bytes, dollars=dollars)
    providers: dict[str, Amount] = defaultdict(Amount)
    for (_, provider), amount in rooms.items():
        providers[provider] += amount
    return Usage(
        month,
        sum(providers.values(), Amount()),
        dict(sorted(providers.items())),
        dict(sorted(rooms.items())),
        prices,
    )


def _dollars(count: int, a_gigabyte: float) -> Decimal:
    return Decimal(count) * Decimal(str(a_gigabyte)) / GIGABYTE
