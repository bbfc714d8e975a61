"""What is stored and was sent, by provider and room, and what that costs about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from pydantic import StringConstraints

from signaling import policy
from signaling.costs import usage_of
from signaling.rest.bodies import Body, read_query
from signaling.rest.envelope import ok
from signaling.rest.services import principal, services_of
from signaling.traffic import month_of

Month = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]


class UsageQuery(Body):
    """Without a month it is the present one, in UTC."""

    month: Month | None = None


async def show_usage(request: web.Request) -> web.Response:
    """GET /api/v1/usage: for a server only.

    Bytes, files and minutes are of what is stored now, whatever the month. Egress is what this
    server sent in the month; what browsers fetched from a bucket or a CDN by link is not in it.
    """
    policy.require_server(principal(request))
    services = services_of(request)
    month = read_query(request, UsageQuery).month or month_of(datetime.now(UTC))
    await services.traffic.flush()
    usage = usage_of(
        month,
        await services.catalog.usage.stored(),
        await services.catalog.usage.traffic(month),
        services.settings.prices,
    )
    return ok(usage.to_json())
