"""Google's side of signatures: requests and forms are held to what a service account signed.

Nothing here comes from the SDK that makes the signatures; only the public key is known. Sources: "V4
signing process", "Canonical requests" and "Policy document" in the documentation of Cloud Storage. The
codes and statuses of refusals are Google's (an expired signature is 400, not 403).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ALGORITHM = "GOOG4-RSA-SHA256"
LONGEST = 7 * 24 * 3600  # seconds
EARLY = timedelta(minutes=15)
FREE_FIELDS = frozenset({"file", "policy", "x-goog-signature"})


class Denied(Exception):
    """The request is refused, in the words of the XML interface."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """An account with a key of its own. `credentials` is the JSON that Google hands out for it."""

    email: str
    credentials: str
    public_key: rsa.RSAPublicKey

    @classmethod
    def made(
        cls, token_uri: str, email: str = "rig@project.iam.gserviceaccount.com"
    ) -> ServiceAccount:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        credentials = {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "throwaway",
            "private_key": pem.decode(),
            "client_email": email,
            "client_id": "1",
            "token_uri": token_uri,
        }
        return cls(email, json.dumps(credentials), key.public_key())

    def check(self, signature: str, signed: bytes) -> None:
        """`signature` in hex. Raises Denied."""
        try:
            self.public_key.verify(
                bytes.fromhex(signature), signed, padding.PKCS1v15(), hashes.SHA256()
            )
        except (InvalidSignature, ValueError):
            raise Denied(403, "SignatureDoesNotMatch") from None


def check_request(
    account: ServiceAccount,
    method: str,
    target: str,
    headers: Sequence[tuple[str, str]],
    now: datetime,
) -> None:
    """Hold a request to its signed URL. `target` is as it came; `headers` are all. Raises Denied."""
    path, _, query = target.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    said = dict(pairs)
    if len(said) != len(pairs):
        raise Denied(400, "InvalidArgument", "a parameter stands twice")
    signature = said.pop("X-Goog-Signature")
    signed_at = _check_scope(account, said, "X-Goog-")
    lasts = said.get("X-Goog-Expires", "")
    if not lasts.isdigit() or not 0 < int(lasts) <= LONGEST:
        raise Denied(400, "AuthenticationRequired", "no such lifetime")
    if now >= signed_at + timedelta(seconds=int(lasts)):
        raise Denied(400, "ExpiredToken", "The provided token has expired.")
    if now < signed_at - EARLY:
        raise Denied(403, "RequestNotYetValid")
    names = said.get("X-Goog-SignedHeaders", "").split(";")
    _check_signed_headers(names, headers)
    canonical = "\n".join(
        (
            method,
            path,
            "&".join(
                sorted(f"{quote(name, safe='')}={quote(said[name], safe='')}" for name in said)
            ),
            *(f"{name}:{_value(headers, name)}" for name in names),
            "",
            ";".join(names),
            "UNSIGNED-PAYLOAD",
        )
    )
    scope = said["X-Goog-Credential"].partition("/")[2]
    digest = sha256(canonical.encode()).hexdigest()
    account.check(signature, "\n".join((ALGORITHM, said["X-Goog-Date"], scope, digest)).encode())


def check_form(
    account: ServiceAccount, bucket: str, fields: Mapping[str, str], size: int, now: datetime
) -> None:
    """Hold a form to its policy. `size` is that of its file in bytes. Raises Denied."""
    said = {name.lower(): value for name, value in fields.items()}
    if missing := {"policy", "x-goog-signature", "key"} - said.keys():
        raise Denied(403, "AccessDenied", f"no {missing.pop()}")
    _check_scope(account, said, "x-goog-")
    account.check(said["x-goog-signature"], said["policy"].encode())
    try:
        policy = json.loads(base64.b64decode(said["policy"], validate=True))
    except (binascii.Error, ValueError):
        raise Denied(400, "InvalidPolicyDocument") from None
    if now >= datetime.fromisoformat(policy["expiration"]):
        raise Denied(403, "AccessDenied", "the policy has expired")
    said["bucket"] = bucket
    covered = {_check_condition(condition, said, size) for condition in policy["conditions"]}
    stray = {
        name for name in said.keys() - covered - FREE_FIELDS if not name.startswith("x-ignore-")
    }
    if stray - {"bucket"}:
        raise Denied(403, "AccessDenied", f"the policy does not speak of {stray.pop()}")


def _check_condition(condition: Any, said: Mapping[str, str], size: int) -> str:
    """The field that a condition is about. Raises Denied when it does not hold."""
    match condition:
        case ["content-length-range", int(smallest), int(largest)]:
            if size < smallest:
                raise Denied(400, "EntityTooSmall")
            if size > largest:
                raise Denied(400, "EntityTooLarge")
            return "file"
        case ["eq", str(name), str(value)]:
            field, holds = name.lstrip("$").lower(), said.get(name.lstrip("$").lower()) == value
        case ["starts-with", str(name), str(value)]:
            field = name.lstrip("$").lower()
            holds = said.get(field, "").startswith(value)
        case dict() if len(condition) == 1:
            ((name, value),) = condition.items()
            field, holds = name.lower(), said.get(name.lower()) == value
        case _:
            raise Denied(400, "InvalidPolicyDocument")
    if not holds:
        raise Denied(403, "AccessDenied", f"the policy wants another {field}")
    return field


def _check_scope(account: ServiceAccount, said: Mapping[str, str], prefix: str) -> datetime:
    """When it was signed, if this account did it for this service."""
    names = [prefix + ("Algorithm", "Credential", "Date")[index] for index in range(3)]
    names = [name if prefix == "X-Goog-" else name.lower() for name in names]
    if any(name not in said for name in names):
        raise Denied(403, "AccessDenied", "the signature is incomplete")
    algorithm, credential, date = (said[name] for name in names)
    email, day, *service = credential.split("/")
    if algorithm != ALGORITHM or service != ["auto", "storage", "goog4_request"]:
        raise Denied(403, "SignatureDoesNotMatch")
    if email != account.email or not date.startswith(day):
        raise Denied(403, "SignatureDoesNotMatch")
    try:
        return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Denied(400, "InvalidArgument", "no such date") from None


def _check_signed_headers(names: Sequence[str], headers: Sequence[tuple[str, str]]) -> None:
    if "host" not in names or list(names) != sorted(names):
        raise Denied(400, "InvalidArgument", "signed headers")
    for name, _ in headers:
        if name.lower().startswith("x-goog-") and name.lower() not in names:
            raise Denied(403, "MalformedSecurityHeader", f"{name} is not signed")


def _value(headers: Sequence[tuple[str, str]], name: str) -> str:
    found = [" ".join(value.split()) for each, value in headers if each.lower() == name]
    if not found:
        raise Denied(403, "MalformedSecurityHeader", f"{name} is missing")
    return ",".join(found)
