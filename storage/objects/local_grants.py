"""What a signed link through this server permits, and the signature on it. Pure.

A grant travels as the parameters of a URL's query, or as the fields of a form, beside the method
and the key, which the request itself says. The signature is HMAC-SHA256 over all of it as one JSON
array, in which every value has its place: nothing can be moved from one to another. Only the one
way of writing a grant is accepted: a parameter that is unknown, repeated, or written in another way
("0600" for "600") makes the link invalid.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Final, Literal, cast

from storage.errors import LinkExpired, LinkInvalid
from storage.objects.part_sizes import LARGEST_PART

PURPOSE: Final = b"mediaserver signed object, version 1"
SHORTEST_SECRET: Final = 16  # bytes
SIGNATURE: Final = "sig"

Method = Literal["GET", "PUT", "POST"]

# Name in the query -> attribute, in the order in which they are written.
PARAMETERS: Final[Mapping[str, str]] = {
    "expires": "expires",
    "type": "content_type",
    "smallest": "smallest",
    "largest": "largest",
    "name": "file_name",
    "download": "download",
    "upload": "upload_id",
    "part": "part",
}
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
_MAC = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Grant:
    """One request. `expires` is unix time in seconds; sizes are of the body, in bytes.

    GET covers HEAD. `content_type` is what an object is put as, or shown as instead of its own.
    `upload_id` and `part` (from 1) are of a part; "" and 0 of a whole object.
    """

    method: Method
    key: str
    expires: int
    content_type: str = ""
    smallest: int = 0
    largest: int = LARGEST_PART
    file_name: str = ""
    download: int = 0
    upload_id: str = ""
    part: int = 0


def secret_for_objects(secret: bytes) -> bytes:
    """A secret of our own from one that others use too. Raises ValueError when it is short."""
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"a secret of fewer than {SHORTEST_SECRET} bytes signs nothing")
    return hmac.digest(secret, PURPOSE, hashlib.sha256)


def signed(grant: Grant, secret: bytes) -> dict[str, str]:
    """The parameters that carry the grant, its signature last."""
    return {**_parameters(grant), SIGNATURE: _mac(grant, secret).hex()}


def verified(
    method: str,
    key: str,
    parameters: Iterable[tuple[str, str]],
    secrets: Sequence[bytes],
    now: float,
) -> Grant:
    """The grant of a request. Raises LinkInvalid, LinkExpired."""
    pairs = list(parameters)
    said = dict(pairs)
    signature = said.pop(SIGNATURE, "")
    grant = _read(method, key, said)
    if len(pairs) != len(said) + 1 or _parameters(grant) != said:
        raise _invalid()
    if not _MAC.fullmatch(signature):
        raise _invalid()
    mac = bytes.fromhex(signature)
    if not any(hmac.compare_digest(_mac(grant, secret), mac) for secret in secrets):
        raise _invalid()
    if now >= grant.expires:
        raise LinkExpired("the link has expired")
    return grant


def _parameters(grant: Grant) -> dict[str, str]:
    """What differs from the defaults; `expires` has none."""
    plain = Grant(grant.method, grant.key, -1)
    return {
        name: str(getattr(grant, attribute))
        for name, attribute in PARAMETERS.items()
        if getattr(grant, attribute) != getattr(plain, attribute)
    }


def _read(method: str, key: str, said: Mapping[str, str]) -> Grant:
    if method not in ("GET", "PUT", "POST") or "expires" not in said:
        raise _invalid()
    return Grant(
        cast(Method, method),
        key,
        expires=_number(said, "expires", 0),
        content_type=said.get("type", ""),
        smallest=_number(said, "smallest", 0),
        largest=_number(said, "largest", LARGEST_PART),
        file_name=said.get("name", ""),
        download=_number(said, "download", 0),
        upload_id=said.get("upload", ""),
        part=_number(said, "part", 0),
    )


def _number(said: Mapping[str, str], name: str, default: int) -> int:
    text = said.get(name)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text):
        raise _invalid()
    return int(text)


def _mac(grant: Grant, secret: bytes) -> bytes:
    text = json.dumps(astuple(grant), ensure_ascii=False)  # escapes would make two texts one
    return hmac.digest(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256)


def _invalid() -> LinkInvalid:
    return LinkInvalid("the link's signature is wrong")
