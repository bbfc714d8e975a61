"""What S3-compatible stores and botocore say, in this package's errors.

The texts are ours: what a store answers may quote the request, and with it what nobody else should see.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from botocore import exceptions as said
from botocore.parsers import ResponseParserError

from storage.errors import (
    BadParts,
    BadRange,
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
    WrongRegion,
)
from storage.objects.retry import retry_after_seconds

# Codes of the S3 interface ("Error responses" in its reference), radosgw and Backblaze B2. HEAD has
# no body, so there the status stands in for the code.
BUSY: Final = frozenset(
    {
        "SlowDown",
        "ServiceUnavailable",
        "TooManyRequests",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "503",
        "429",
    }
)
PASSING: Final = frozenset(
    {
        "InternalError",
        "RequestTimeout",
        "OperationAborted",
        "ConditionalRequestConflict",
        "ConcurrentModification",
        "BadDigest",
        "IncompleteBody",
        "XAmzContentSHA256Mismatch",
        "408",
        "409",
    }
)
ABOUT_KEYS: Final[Mapping[str, tuple[type[StorageError], str]]] = {
    "NoSuchKey": (ObjectNotFound, "there is no object {key}"),
    "NoSuchVersion": (ObjectNotFound, "there is no object {key}"),
    "404": (ObjectNotFound, "there is no object {key}"),
    "NotFound": (ObjectNotFound, "there is no object {key}"),
    "InvalidRange": (BadRange, "{key} has no bytes there"),
    "416": (BadRange, "{key} has no bytes there"),
    "NoSuchUpload": (UploadGone, "there is no such upload of {key}"),
    "InvalidPart": (BadParts, "the parts make no object {key}: one is missing, or another"),
    "InvalidPartOrder": (BadParts, "the parts make no object {key}: one was named twice"),
    "EntityTooSmall": (BadParts, "the parts make no object {key}: one is too small"),
    "PreconditionFailed": (ObjectChanged, "{key} was replaced while it was read"),
    "412": (ObjectChanged, "{key} was replaced while it was read"),
}
OPERATORS: Final[Mapping[str, tuple[type[StoreUnavailable], str]]] = {
    "InvalidAccessKeyId": (CredentialsRefused, "does not know this access key id"),
    "SignatureDoesNotMatch": (
        CredentialsRefused,
        "refused the signature: the secret access key is not that of this access key id",
    ),
    "InvalidToken": (CredentialsRefused, "refused the session token"),
    "401": (CredentialsRefused, "refused the credentials"),
    "ExpiredToken": (CredentialsExpired, "says that the credentials have expired"),
    "TokenRefreshRequired": (CredentialsExpired, "says that the credentials have expired"),
    "RequestTimeTooSkewed": (
        ClockSkewed,
        "says that this machine's clock is wrong: set it (for example with NTP)",
    ),
    "AccessDenied": (PermissionMissing, "does not allow these credentials to {doing}"),
    "AllAccessDisabled": (PermissionMissing, "has disabled all access"),
    "AccountProblem": (PermissionMissing, "reports a problem with the account"),
    "403": (PermissionMissing, "refused to {doing}: wrong credentials or a missing permission"),
    "NoSuchBucket": (BucketMissing, "has no bucket of this name"),
    "InvalidBucketName": (BucketMissing, "says that no bucket can have this name"),
    "PermanentRedirect": (WrongRegion, "says that the bucket is in another region{region}"),
    "AuthorizationHeaderMalformed": (
        WrongRegion,
        "says that the region is not the bucket's{region}",
    ),
    "IllegalLocationConstraintException": (
        WrongRegion,
        "says that the region is not the bucket's{region}",
    ),
    "301": (WrongRegion, "says that the bucket is in another region{region}"),
    "404": (BucketMissing, "has no bucket of this name"),
    "QuotaExceeded": (StoreFull, "has no room left: the quota is used up"),
    "ServiceQuotaExceeded": (StoreFull, "has no room left: the quota is used up"),
    "CapExceeded": (StoreFull, "has no room left: the cap of the account is reached"),
    "507": (StoreFull, "has no room left"),
    "405": (EndpointWrong, "is not an S3 interface: it refused the method"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """What error texts call the store: `bucket NAME at HOST`."""

    bucket: str
    host: str

    def __str__(self) -> str:
        return f"bucket {self.bucket} at {self.host}"


@contextmanager
def translated(place: Place, doing: str, key: str = "") -> Iterator[None]:
    """`doing` completes "could not ..."; `key` is the object that a 404 is about."""
    try:
        yield
    except said.ClientError as error:
        raise _of_answer(place, doing, key, error.response) from error
    except tuple(_OF_TRANSPORT) as error:
        for kind, make in _OF_TRANSPORT.items():
            if isinstance(error, kind):
                raise make(f"{place} could not {doing}") from error
        raise
    except (said.NoCredentialsError, said.PartialCredentialsError) as error:
        raise CredentialsRefused(f"{place}: there are no credentials to use") from error
    except (said.ParamValidationError, ValueError) as error:
        raise EndpointWrong(f"{place} is no name or address that can be used") from error


def _of_answer(place: Place, doing: str, key: str, answer: Mapping[str, Any]) -> StorageError:
    error, meta = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    code, status = str(error.get("Code", "")), int(meta.get("HTTPStatusCode") or 0)
    for name in (code, str(status)):
        if found := _of_code(place, doing, key, name, error, meta):
            return found
    if code == "400":  # HEAD: the reason was in a body that there is not
        return StoreMisconfigured(
            f"{place} refused to {doing}: a wrong region, or credentials that have expired"
        )
    if status >= 500:
        return StoreUnavailable(f"{place} could not {doing}: it answered {status}", passing=True)
    if not code or code.isdigit():
        return EndpointWrong(f"{place} could not {doing}: it answered {status}, not as S3 does")
    return StoreUnavailable(f"{place} could not {doing}: it answered {status} {code}")


def _of_code(
    place: Place,
    doing: str,
    key: str,
    code: str,
    error: Mapping[str, Any],
    meta: Mapping[str, Any],
) -> StorageError | None:
    headers = meta.get("HTTPHeaders", {})
    if code in ABOUT_KEYS and (key or code not in ("404", "NotFound")):
        kind, text = ABOUT_KEYS[code]
        return kind(text.format(key=repr(key)))
    if code in BUSY or code in PASSING:
        return StoreUnavailable(
            f"{place} could not {doing}: it answered {code}",
            passing=True,
            undone=code in BUSY,
            retry_after=retry_after_seconds(headers.get("retry-after"), time.time()),
        )
    if code not in OPERATORS:
        return None
    operators, sentence = OPERATORS[code]
    region = error.get("Region") or headers.get("x-amz-bucket-region")
    return operators(
        f"{place}: the store "
        + sentence.format(doing=doing, region=f" (it is in {region})" if region else "")
    )


def _refused(text: str) -> StoreUnavailable:
    return StoreUnavailable(f"{text}: nothing answers there", passing=True, undone=True)


def _slow(text: str) -> StoreUnavailable:
    return StoreUnavailable(f"{text}: it does not answer in time", passing=True)


def _cut(text: str) -> StoreUnavailable:
    return StoreUnavailable(f"{text}: the connection was cut", passing=True)


_OF_TRANSPORT: Final[Mapping[type[BaseException], Callable[[str], StorageError]]] = {
    said.SSLError: lambda text: EndpointWrong(f"{text}: its certificate is not valid (TLS)"),
    said.ConnectTimeoutError: _slow,
    said.ReadTimeoutError: _slow,
    said.EndpointConnectionError: _refused,
    said.ProxyConnectionError: _refused,
    said.HTTPClientError: _cut,  # ConnectionClosedError, ResponseStreamingError
    said.IncompleteReadError: _cut,
    said.ConnectionError: _cut,
    ResponseParserError: lambda text: EndpointWrong(f"{text}: what answers is not S3"),
}
