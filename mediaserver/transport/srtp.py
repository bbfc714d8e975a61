"""libsrtp below pylibsrtp: the one module that touches pylibsrtp's private binding.

The plane protects and unprotects packets in place in its own buffers. pylibsrtp's `Session.protect`
copies twice and allocates; calling the same libsrtp through its binding costs a third
(docs/decisions.md). `tests/media/test_seams.py` pins every private name used here.
"""

from __future__ import annotations

from typing import Any

from pylibsrtp import Session
from pylibsrtp._binding import ffi, lib

protect = lib.srtp_protect
protect_rtcp = lib.srtp_protect_rtcp
unprotect = lib.srtp_unprotect
unprotect_rtcp = lib.srtp_unprotect_rtcp

MAX_TRAILER = 16 + 4 + 16
"""Bytes that protecting may append: authentication tag, SRTCP index, and slack."""

GCM_TAG, CM_TAG = 16, 10


def handle(session: Session) -> Any:
    """The libsrtp context of a session; valid as long as the session lives."""
    return session._srtp[0]


__all__ = [
    "CM_TAG",
    "GCM_TAG",
    "MAX_TRAILER",
    "Session",
    "ffi",
    "handle",
    "protect",
    "protect_rtcp",
    "unprotect",
    "unprotect_rtcp",
]
