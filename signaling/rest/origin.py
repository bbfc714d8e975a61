"""Under which address the client reached us: what links and token URLs are built from."""

from __future__ import annotations

import ipaddress

from aiohttp import web


def origin_of(request: web.Request) -> str:
    """`https://calls.example.com`, as the client sees it.

    `X-Forwarded-Proto` and `X-Forwarded-Host` count only when they come from this machine, that is
    from a reverse proxy beside us; anybody else could write there what they like.
    """
    scheme, host = request.scheme, request.host
    if _is_loopback(request.remote):
        forwarded_scheme = _first(request, "X-Forwarded-Proto")
        scheme = forwarded_scheme if forwarded_scheme in ("http", "https") else scheme
        host = _first(request, "X-Forwarded-Host") or host
    return f"{scheme}://{host}"


def websocket_origin_of(request: web.Request) -> str:
    """The same with `ws` or `wss`: what LiveKit clients connect to."""
    return "ws" + origin_of(request).removeprefix("http")


def _first(request: web.Request, header: str) -> str:
    return request.headers.get(header, "").partition(",")[0].strip()


def _is_loopback(remote: str | None) -> bool:
    try:
        return ipaddress.ip_address(remote or "").is_loopback
    except ValueError:
        return False
