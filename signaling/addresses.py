"""The machine's own IP addresses, for ICE candidates when the operator names none."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import ifaddr


def own_addresses() -> list[str]:
    """Addresses that clients may reach, loopback last.

    Loopback is in the list for browsers on this machine. Link-local addresses are not: they mean
    nothing without a zone.
    """
    found: dict[str, None] = {}
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            text = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            if not ipaddress.ip_address(text).is_link_local:
                found[text] = None
    return sorted(found, key=lambda text: ipaddress.ip_address(text).is_loopback)


def media_host(host: str, public_ips: Sequence[str]) -> str:
    """Where the media port is opened, for candidates with `public_ips`; `host` where HTTP listens.

    A socket that is open for every address answers from the one that the system prefers on the way
    back, and a client takes no answer from another address than it asked. So when clients are told
    of a single address, and this machine has it, the port is opened there.
    """
    if len(public_ips) == 1 and _is_any(host) and public_ips[0] in own_addresses():
        return public_ips[0]
    return host


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
