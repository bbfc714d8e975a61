"""What Google Cloud Storage, its token server and the network say, in this package's errors.

The texts are ours: an answer may quote the request, and with it a session's or signed address, a
token or a key. Of an answer only its status and its reason, a word from Google's own lists, are used.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import requests
from google.auth import exceptions as auth
from urllib3 import exceptions as transport

from storage.errors import (
    BadParts,
    BucketMissing,
    ClockSkewed,
    CredentialsExpired,
    CredentialsRefused,
    EndpointWrong,
    ObjectChanged,
    ObjectNotFound,
    PermissionMissing,
    StorageError,
    StoreFull,
    StoreMisconfigured,
    StoreUnavailable,
    UploadGone,
)
from storage.objects.retry import retry_after_seconds

# Reasons of the JSON interface and codes of the XML interface ("HTTP status and error codes" in their
# references), in lower case; a status stands for an answer that gives no known reason.
BUSY: Final = frozenset(
    {
        "ratelimitexceeded",
        "userratelimitexceeded",
        "usagelimits.ratelimitexceeded",
        "slowdown",
        "serviceunavailable",
        "toomanyrequests",
        "429",
        "503",
    }
)
DAMAGED: Final = frozenset({"baddigest", "crcmismatch"})
PASSING: Final = frozenset(
    {"internalerror", "backenderror", "requesttimeout", "408", "409", "500", "502", "504"}
)
REASONS: Final[Mapping[str, tuple[type[StoreUnavailable], str]]] = {
    "expiredtoken": (CredentialsExpired, "says that the credentials have expired"),
    "signaturedoesnotmatch": (CredentialsRefused, "refused the signature"),
    "requesttimetooskewed": (
        ClockSkewed,
        "says that this machine's clock is wrong: set it (for example with NTP)",
    ),
    "nosuchbucket": (BucketMissing, "has no bucket of this name"),
    "invalidbucketname": (BucketMissing, "says that no bucket can have this name"),
    "quotaexceeded": (StoreFull, "says that the quota is used up"),
    "dailylimitexceeded": (StoreFull, "says that the quota is used up"),
    "accountdisabled": (StoreMisconfigured, "says that the project's account is disabled"),
    "userprojectaccountproblem": (
        StoreMisconfigured,
        "says that the project's account has a problem: see its billing",
    ),
    "retentionpolicynotmet": (
        PermissionMissing,
        "did not {doing}: the bucket's retention policy forbids it",
    ),
    "objectunderactivehold": (PermissionMissing, "did not {doing}: the object is under a hold"),
    "301": (EndpointWrong, "is not Google Cloud Storage: it sends elsewhere"),
    "302": (EndpointWrong, "is not Google Cloud Storage: it sends elsewhere"),
    "307": (EndpointWrong, "is not Google Cloud Storage: it sends elsewhere"),
    "401": (CredentialsRefused, "refused the credentials"),
    "403": (PermissionMissing, "does not allow these credentials to {doing}"),
    "405": (EndpointWrong, "is not Google Cloud Storage: it refused the method"),
    "501": (EndpointWrong, "is not Google Cloud Storage: it does not know the call"),
    "507": (StoreFull, "has no room left"),
}
BAD_PARTS: Final = frozenset(
    {
        "invalidpart",
        "invalidpartorder",
        "entitytoosmall",
        "malformedcompletemultipartuploadrequest",
    }
)
# where the JSON interface has one reason for several things: a part of the message, the XML code
BY_TEXT: Final[Mapping[str, str]] = {
    "bucket does not exist": "NoSuchBucket",
    "match calculated": "BadDigest",
}


@dataclass(frozen=True, slots=True)
class _Behind:
    """What an exception among the causes of an error of requests means."""

    exceptions: tuple[type[BaseException], ...]
    sentence: str
    kind: type[StoreUnavailable] = StoreUnavailable
    passing: bool = True
    undone: bool = False


CUT: Final = _Behind((), "the connection was cut")
TRANSPORT: Final = (  # the first that fits
    # a resolver that is down looks like a name that is wrong
    _Behind((socket.gaierror,), "its name is not known", EndpointWrong, undone=True),
    _Behind((ConnectionRefusedError,), "nothing answers there", undone=True),
    _Behind(
        (ssl.SSLCertVerificationError,),
        "its certificate is not valid (TLS)",
        EndpointWrong,
        passing=False,
    ),
    _Behind((ssl.SSLEOFError, ssl.SSLZeroReturnError), CUT.sentence),
    _Behind((ssl.SSLError,), "it does not speak TLS as it should", EndpointWrong, passing=False),
    _Behind(
        (requests.ConnectTimeout, transport.ConnectTimeoutError),
        "it does not answer in time",
        undone=True,
    ),
    _Behind((requests.Timeout, transport.TimeoutError, TimeoutError), "it does not answer in time"),
    # requests' own InvalidURL, MissingSchema and the like
    _Behind((ValueError,), "its address can't be used", EndpointWrong, passing=False),
)
_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
_REASON = re.compile(r"[A-Za-z.]{1,60}")


@dataclass(frozen=True, slots=True)
class Place:
    """What error texts call the store."""

    bucket: str
    host: str

    def __str__(self) -> str:
        return f"bucket {self.bucket} at {self.host}"


class Damaged(StoreUnavailable):
    """What arrived is not what was sent: to be sent again, from its beginning."""

    def __init__(self, message: str) -> None:
        super().__init__(message, passing=True)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is none of those hoped for. `retry_after` in seconds."""

    status: int
    reason: str = ""
    retry_after: float | None = None


def refusal_of(status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
    if found := _CODE.search(body):
        reason = found[1].decode()
    else:
        reason, message = _reason_and_message(body)
        reason = next((better for text, better in BY_TEXT.items() if text in message), reason)
    return Refusal(status, reason, retry_after_seconds(headers.get("Retry-After"), time.time()))


def refused(place: Place, doing: str, key: str, said: Refusal) -> StorageError:
    """`doing` completes "could not ..."; `key` is the object that a 404 is about."""
    reason, status = said.reason.lower(), str(said.status)
    if said.status == 404 and not key:
        reason = "nosuchbucket"
    if about_it := _about_the_object(key, said.status, reason):
        return about_it
    text = f"{place} could not {doing}"
    if reason in DAMAGED:
        return Damaged(f"{text}: something else arrived than was sent")
    kind, sentence = REASONS.get(reason) or REASONS.get(status) or (None, "")
    busy = reason in BUSY or (kind is None and status in BUSY)
    if kind is not None and not busy:
        return kind(f"{place}: the store {sentence.format(doing=doing)}")
    return StoreUnavailable(
        f"{text}: it answered {status} {said.reason}".rstrip(),
        passing=busy or bool({reason, status} & PASSING),
        undone=busy,
        retry_after=said.retry_after,
    )


def _about_the_object(key: str, status: int, reason: str) -> StorageError | None:
    if reason in BAD_PARTS:
        return BadParts(f"the parts make no object {key!r}: one is missing, another, or too small")
    if reason == "nosuchupload" or status == 410:
        return UploadGone(f"there is no such upload of {key!r}")
    if status == 404 and reason != "nosuchbucket":
        return ObjectNotFound(f"there is no object {key!r}")
    if status == 412:
        return ObjectChanged(f"{key!r} was replaced while it was read")
    return None


@contextmanager
def translated(place: Place, doing: str) -> Iterator[None]:
    """Errors of the network and of the credentials, as ours.

    Theirs go no further: they name addresses, and that of an upload is a permission to write.
    """
    try:
        yield
    except auth.GoogleAuthError as error:
        raise _of_credentials(place, error) from None
    except (transport.HTTPError, OSError) as error:  # those of requests are OSErrors
        raise _of_transport(f"{place} could not {doing}", error) from None


def _of_credentials(place: Place, error: auth.GoogleAuthError) -> StoreUnavailable:
    text = f"{place}: no access token could be had"
    if isinstance(error, auth.DefaultCredentialsError):
        return CredentialsRefused(f"{place}: this machine has no Google credentials of its own")
    if isinstance(error, auth.TransportError) or error.retryable:
        found = _of_transport(text, error)
        return StoreUnavailable(str(found), passing=found.passing, undone=True)
    details = str(error.args[0] if error.args else "").lower()
    if "timeframe" in details:  # "... check your iat and exp values and use a clock with NTP"
        return ClockSkewed(f"{text}: this machine's clock is wrong: set it (for example with NTP)")
    if "signature" in details or "not found" in details:
        return CredentialsRefused(f"{text}: the account or its key does not exist (any more)")
    if "invalid_grant" in details:
        return CredentialsExpired(f"{text}: the credentials have expired or were revoked")
    return CredentialsRefused(f"{text}: the credentials were refused")


def _of_transport(text: str, error: BaseException) -> StoreUnavailable:
    causes = list(_causes(error))
    found = next(
        (each for each in TRANSPORT if any(isinstance(cause, each.exceptions) for cause in causes)),
        CUT,
    )
    return found.kind(f"{text}: {found.sentence}", passing=found.passing, undone=found.undone)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason_and_message(body: bytes) -> tuple[str, str]:
    try:
        error: Any = json.loads(body)["error"]
        reason = str(error["errors"][0]["reason"]) if error.get("errors") else ""
        return (reason if _REASON.fullmatch(reason) else ""), str(error.get("message", ""))
    except (ValueError, TypeError, LookupError, AttributeError):
        return "", ""
