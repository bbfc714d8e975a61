"""Everything the signalling floor raises.

SignalingError
├── SettingsError      the operator's: a setting that can't be used; the start stops with one line
├── StartError         the operator's: the machine refuses what the settings ask for
├── InvalidRequest     the caller's misuse: a request that can't be understood (400)
├── Unauthorized       the caller's misuse: no valid token (401)
├── Forbidden          the caller's misuse: a valid token that lacks the right (403)
├── NotFound           the caller's misuse: no such thing (404)
├── Conflict           the caller's misuse: right request, wrong moment (409)
├── Expired            the caller's misuse: it existed and is over (410)
├── TooMany            the caller's misuse: more at the same time than may (429)
└── Unavailable        our own state: shutting down or a part is down (503)

Every error carries a stable snake_case `code`, a `message` for people and optional `details` fit
for clients. Which HTTP status a class gets is said once, in `signaling.rest.failures`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SignalingError(Exception):
    """Base of all errors of this package."""

    code = "internal_error"

    def __init__(
        self, message: str, *, code: str | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.details = details


class SettingsError(SignalingError):
    """A setting that can't be used. The message is one line, names it and shows a right value."""

    code = "bad_setting"


class StartError(SignalingError):
    """The settings are fine, the machine says no. The message is one line and says what to do."""

    code = "cannot_start"


class InvalidRequest(SignalingError):
    code = "invalid_request"


class Unauthorized(SignalingError):
    """No valid token. Codes: token_missing, token_malformed, token_unknown_key,
    token_bad_signature, token_expired, token_not_yet_valid, link_invalid, link_expired."""

    code = "token_missing"


class Forbidden(SignalingError):
    code = "forbidden"


class NotFound(SignalingError):
    code = "not_found"


class Conflict(SignalingError):
    code = "conflict"


class Expired(SignalingError):
    code = "gone"


class TooMany(SignalingError):
    code = "too_many"


class Unavailable(SignalingError):
    code = "unavailable"
