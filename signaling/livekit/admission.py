"""Who may open a session: every check before the upgrade, in the order clients rely on."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from livekit.protocol import models, rtc

from signaling.auth import AccessToken, VideoGrants
from signaling.errors import InvalidRequest, Unauthorized
from signaling.livekit.join_request import decode_join_request
from signaling.livekit.limits import (
    MAX_ATTRIBUTES_BYTES,
    MAX_METADATA_BYTES,
    MAX_NAME_LENGTH,
)

# Control characters, lone surrogates, line and paragraph ends.
_NOT_IN_NAMES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
KINDS: Final = cast(
    "dict[str, models.ParticipantInfo.Kind]",
    {name.lower(): number for name, number in models.ParticipantInfo.Kind.items()},
)
KIND_DETAILS: Final = cast(
    "dict[str, models.ParticipantInfo.KindDetail]",
    {name.lower(): number for name, number in models.ParticipantInfo.KindDetail.items()},
)
KIND_NAMES: Final = {number: name for name, number in KINDS.items()}
KIND_DETAIL_NAMES: Final = {number: name for name, number in KIND_DETAILS.items()}


@dataclass(frozen=True, slots=True)
class Admission:
    """A session that may be opened. Nothing in it that counts was decided by the client."""

    room: str
    identity: str
    name: str
    metadata: str
    attributes: Mapping[str, str]
    kind: models.ParticipantInfo.Kind
    kind_details: tuple[models.ParticipantInfo.KindDetail, ...]
    grants: VideoGrants
    expires_at: datetime
    request: rtc.JoinRequest

    @property
    def wants_resume(self) -> bool:
        return self.request.reconnect


def admit(token: AccessToken, join_request: str | None) -> Admission:
    """Raises Unauthorized (401) or InvalidRequest (400)."""
    if "video" not in token.claims:
        raise _denied("the token carries no video grant")
    if not join_request:
        raise InvalidRequest("join_request is missing", code="bad_join_request")
    request = decode_join_request(join_request)
    grants = token.grants
    if not grants.room_join:
        raise _denied("the token does not allow joining a room")
    _check_length("identity", token.identity)
    _check_length("room name", grants.room)
    _check_texts(token)
    changes = bool(request.metadata or request.participant_attributes)
    if changes and not grants.can_update_own_metadata:
        raise _denied("the token does not allow setting metadata or attributes")
    metadata = request.metadata or token.metadata
    attributes = merge_attributes(token.attributes, request.participant_attributes)
    if too_large(metadata, attributes):
        raise InvalidRequest("metadata or attributes are too large", code="metadata_too_large")
    return Admission(
        room=grants.room,
        identity=token.identity,
        name=token.name[:MAX_NAME_LENGTH],
        metadata=metadata,
        attributes=attributes,
        kind=KINDS.get(token.kind.lower(), models.ParticipantInfo.Kind.STANDARD),
        kind_details=_kind_details(token.claims.get("kindDetails")),
        grants=grants,
        expires_at=token.expires_at,
        request=request,
    )


def merge_attributes(base: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """`changes` win; an empty value deletes."""
    merged = {**base, **changes}
    return {key: value for key, value in merged.items() if value}


def too_large(metadata: str, attributes: Mapping[str, str]) -> bool:
    return (
        len(metadata.encode()) > MAX_METADATA_BYTES
        or claims_size("", attributes) > MAX_ATTRIBUTES_BYTES
    )


def claims_size(metadata: str, attributes: Mapping[str, str]) -> int:
    """Bytes of metadata and of attributes, keys and values."""
    texts = (metadata, *attributes.keys(), *attributes.values())
    return sum(len(text.encode()) for text in texts)


def _kind_details(claim: object) -> tuple[models.ParticipantInfo.KindDetail, ...]:
    if not isinstance(claim, list):
        return ()
    numbers = (KIND_DETAILS.get(name) for name in claim if isinstance(name, str))
    return tuple(number for number in numbers if number is not None)


def _check_length(what: str, text: str) -> None:
    if not text:
        raise InvalidRequest(f"the token has no {what}", code="bad_grant")
    if len(text) > MAX_NAME_LENGTH:
        raise InvalidRequest(f"the {what} is too long", code="bad_grant")


def is_name(text: str) -> bool:
    """Whether a text can be a name: encodable, without control characters and line ends."""
    return not any(unicodedata.category(char) in _NOT_IN_NAMES for char in text)


def _check_texts(token: AccessToken) -> None:
    for what, name in (
        ("identity", token.identity),
        ("room name", token.grants.room),
        ("name", token.name),
    ):
        if not is_name(name):
            message = f"the token's {what} has characters that no name has"
            raise InvalidRequest(message, code="bad_grant")
    try:
        claims_size(token.metadata, token.attributes)
    except UnicodeEncodeError:
        message = "the token's metadata or attributes are not valid text"
        raise InvalidRequest(message, code="bad_grant") from None


def _denied(message: str) -> Unauthorized:
    return Unauthorized(message, code="not_allowed")
