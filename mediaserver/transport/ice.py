"""ICE-lite (RFC 8445, 2.5): answer authenticated checks, take what the peer nominates, watch consent.

Pure: a datagram and a time in, what to do out. STUN itself is aioice's.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from aioice import stun

CONSENT_TIMEOUT = 15.0
"""Seconds without an authenticated check after which a peer is lost (RFC 7675 allows 30).

libwebrtc checks every 2.5 s or so; half a minute of a frozen tile is too long for a call.
"""


class IceSession(Protocol):
    """What a peer must have so that its checks can be answered."""

    ufrag: str
    password: str


@dataclass(frozen=True, slots=True)
class Check:
    """An authenticated connectivity check: the reply to send, and whether it nominates."""

    session: IceSession
    reply: bytes
    nominates: bool


def new_credentials() -> tuple[str, str]:
    """A ufrag and password with more than the entropy that RFC 8445, 5.3 asks for."""
    return secrets.token_hex(8), secrets.token_hex(16)


def answer_check(
    data: bytes, address: tuple[str, int], sessions: Mapping[str, IceSession]
) -> Check | None:
    """What a datagram means as a binding request to one of `sessions` (by ufrag); None: nothing.

    Requests that name no session or fail the integrity check get no answer at all, so that the
    port gives nothing away and can't be used to reflect traffic.
    """
    try:
        request = stun.parse_message(data)
    except (ValueError, IndexError, KeyError, AttributeError, TypeError, struct.error):
        return None
    if request.message_method != stun.Method.BINDING or request.message_class != stun.Class.REQUEST:
        return None
    session = sessions.get(str(request.attributes.get("USERNAME", "")).partition(":")[0])
    if session is None or not request.check_message_integrity(session.password.encode()):
        return None
    reply = stun.Message(
        message_method=stun.Method.BINDING,
        message_class=stun.Class.RESPONSE,
        transaction_id=request.transaction_id,
    )
    reply.attributes["XOR-MAPPED-ADDRESS"] = address
    reply.add_message_integrity(session.password.encode())
    return Check(session, bytes(reply), "USE-CANDIDATE" in request.attributes)
