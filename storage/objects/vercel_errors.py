"""What Vercel Blob and the network between say, in this package's errors: one table.

The API names its errors with a code in `{"error": {"code": ...}}`; the code decides, and only where
there is none, the HTTP status. What the store says in words is never passed on, nor the exception
of the HTTP client as a cause: both can hold the token or a signed URL.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from vercel.blob import BlobError, BlobServiceRateLimited, BlobStreamError

from storage.errors import (
    BucketMissing,
    CredentialsRefused,
    EndpointWrong,
    ObjectChanged,
    ObjectNotFound,
    PermissionMissing,
    StorageError,
    StoreUnavailable,
)

NOT_FOUND = frozenset({"not_found", "blob_not_found"})
CHANGED = "precondition_failed"


@dataclass(frozen=True, slots=True)
class _Meaning:
    kind: type[StoreUnavailable]
    words: str
    passing: bool = False
    undone: bool = False


_REFUSED = _Meaning(CredentialsRefused, "it does not accept the token")
_BUSY = _Meaning(StoreUnavailable, "it wants fewer requests", passing=True, undone=True)
_DOWN = _Meaning(StoreUnavailable, "it is not available", passing=True)
_CONFLICT = _Meaning(StoreUnavailable, "something else changes the same object", passing=True)
_UNFIT = _Meaning(StoreUnavailable, "it refuses the request")
_ELSEWHERE = _Meaning(EndpointWrong, "something that is not its API answers at its address")

_BY_CODE = {
    "forbidden": _REFUSED,
    "unauthorized": _REFUSED,
    "store_not_found": _Meaning(
        BucketMissing, "the store that the token was made for does not exist"
    ),
    "store_suspended": _Meaning(
        PermissionMissing,
        "Vercel has suspended the store; its page in the Vercel dashboard says why",
    ),
    "file_too_large": _Meaning(StoreUnavailable, "the object is larger than the store takes"),
    "content_type_not_allowed": _Meaning(
        StoreUnavailable, "the store does not take objects of this content type"
    ),
    "rate_limited": _BUSY,
    "service_unavailable": _DOWN,
    "internal_server_error": _DOWN,
}

_BY_STATUS = {
    401: _REFUSED,
    402: _Meaning(PermissionMissing, "a limit of the Vercel plan is used up"),
    403: _REFUSED,
    404: _ELSEWHERE,
    405: _ELSEWHERE,
    408: _DOWN,
    409: _CONFLICT,
    413: _BY_CODE["file_too_large"],
    429: _BUSY,
}


def refusal(doing: str, status: int, code: str, retry_after: float | None = None) -> StorageError:
    """The error for an answer that is no success. `doing` completes "could not ..."."""
    if code in NOT_FOUND:
        return ObjectNotFound(_sentence(doing, "there is no such object"))
    if code == CHANGED or status == 412:
        return ObjectChanged(_sentence(doing, "the object was replaced meanwhile"))
    meaning = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if meaning is None:
        meaning = _ELSEWHERE if status < 400 else _UNFIT if status < 500 else _DOWN
    said = f"HTTP {status} {code}".strip()
    return meaning.kind(
        _sentence(doing, f"{meaning.words} ({said})"),
        passing=meaning.passing,
        undone=meaning.undone,
        retry_after=retry_after,
    )


def sdk_refusal(doing: str, host: str, error: BlobError) -> StorageError:
    """The same for what the SDK raises. Without an HTTP status, nothing was answered."""
    if isinstance(error, BlobStreamError):
        return misunderstood(doing)
    if error.status_code is None:
        return unreachable(doing, host, error)
    pause = error.retry_after if isinstance(error, BlobServiceRateLimited) else 0
    return refusal(doing, error.status_code, _named(error.code), pause or None)


def misunderstood(doing: str) -> EndpointWrong:
    """An answer that is a success and makes no sense."""
    return EndpointWrong(_sentence(doing, _ELSEWHERE.words))


def error_code(answer: object) -> str:
    """The code in an answer's JSON; "" when there is none that looks like one."""
    error = answer.get("error") if isinstance(answer, dict) else None
    return _named(error.get("code") if isinstance(error, dict) else None)


def unreachable(doing: str, host: str, error: BaseException) -> StoreUnavailable:
    """The error for a request that got no answer, or no whole one."""
    causes = list(_causes(error))
    for cause in causes:
        match cause:
            case socket.gaierror(errno=socket.EAI_AGAIN):
                words = f"no name server says now where {host} is"
                return StoreUnavailable(_sentence(doing, words), passing=True, undone=True)
            case socket.gaierror():
                return EndpointWrong(_sentence(doing, f"there is no host {host}"))
            case ConnectionRefusedError():
                words = f"{host} refuses connections"
                return StoreUnavailable(_sentence(doing, words), passing=True, undone=True)
            case ssl.SSLError(reason=reason) if not isinstance(cause, ssl.SSLEOFError):
                return EndpointWrong(
                    _sentence(doing, f"no TLS to be trusted with {host}: {reason}")
                )
    words = f"the connection to {host} broke off ({type(causes[-1]).__name__})"
    if any(isinstance(cause, TimeoutError) for cause in causes):
        words = f"{host} did not answer in time"
    return StoreUnavailable(_sentence(doing, words), passing=True)


def _sentence(doing: str, words: str) -> str:
    return f"Vercel Blob could not {doing}: {words}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what caused it, and what caused that; HTTP clients wrap twice and more."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [cause.__cause__, cause.__context__]
        if isinstance(cause, BaseExceptionGroup):
            waiting += cause.exceptions


def _named(code: object) -> str:
    return code if isinstance(code, str) and re.fullmatch("[a-z_]{1,40}", code) else ""
