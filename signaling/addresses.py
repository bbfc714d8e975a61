"""The machine's own IP addresses, for ICE candidates when the operator names none."""

from __future__ import annotations

import ipaddress

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
