"""Where the media port is opened."""

from __future__ import annotations

import pytest

from signaling.addresses import media_host, own_addresses


@pytest.mark.parametrize(
    ("host", "public_ips", "opened"),
    [
        ("0.0.0.0", ["127.0.0.1"], "127.0.0.1"),
        ("0.0.0.0", ["203.0.113.7"], "0.0.0.0"),  # of a router
        ("0.0.0.0", ["127.0.0.1", "203.0.113.7"], "0.0.0.0"),
        ("0.0.0.0", [], "0.0.0.0"),
        ("192.0.2.1", ["127.0.0.1"], "192.0.2.1"),  # the operator's word
        ("localhost", ["127.0.0.1"], "localhost"),
    ],
)
def test_a_single_address_of_this_machine_is_where_media_comes(
    host: str, public_ips: list[str], opened: str
) -> None:
    assert "127.0.0.1" in own_addresses()
    assert media_host(host, public_ips) == opened
