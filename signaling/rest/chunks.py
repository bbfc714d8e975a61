"""What participants' browsers record themselves comes in here, chunk by chunk.

Whoever sends is checked before a byte of the body is read, and the answer to a chunk comes when it is
durable (`recorder.chunks.store`). What becomes of the chunks is `recorder.chunks.copies`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, Literal

from aiohttp import web
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    StrictInt,
    StringConstraints,
)

from recorder.chunks.made_at import FURTHEST
from recorder.chunks.places import LAST_PART, LAST_SEQUENCE, number_in
from recorder.chunks.settling import SetStatus
from recorder.chunks.store import ArrivingChunk, Kept, too_large
from recorder.errors import UnknownRecording
from signaling import policy
from signaling.clock import iso
from signaling.errors import Forbidden, InvalidRequest
from signaling.policy import LONGEST_NAME, Principal
from signaling.rest.base64_json import Base64Text, LongField
from signaling.rest.bodies import Body, Name, parse_body, read_body
from signaling.rest.envelope import ok
from signaling.rest.incoming import body_blocks, check_plain, content_digests
from signaling.rest.services import Services, principal, services_of
from signaling.rest.turns import ALL_AT_ONCE, EACH_AT_ONCE, TURNS
from storage.catalog import ChunkSetRow

REST_OF_A_JSON_BODY: Final = 64 * 1024  # bytes beside the base64
DOTS: Final = re.compile(r"(?:^|[/\\])\.{1,2}(?:[/\\]|$)|[\0-\x1f\x7f]")
PART: Final = Field(ge=0, le=LAST_PART)
SEQUENCE: Final = Field(ge=0, le=LAST_SEQUENCE)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such moment in UTC") from None


def _a_time(value: object) -> float | None:
    """Null of what is none, or is no time."""
    sane = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FURTHEST
    return float(value) if sane else None  # type: ignore[arg-type]


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class ChunkUpload(Body):
    """`type` is read by nobody: the bytes say it. `timestamp` (milliseconds) tells pauses of the
    recorder; a client that sends something else there has always been taken, and is.
    """

    own_codes: ClassVar[bool] = True

    recording_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    participant_id: Name
    chunk: str
    sequence: Annotated[StrictInt, SEQUENCE]
    part: Annotated[StrictInt, PART] = 0
    timestamp: Annotated[float | None, BeforeValidator(_a_time)] = None


class PartBegun(Body):
    own_codes: ClassVar[bool] = True

    part: Annotated[StrictInt, PART] = 0
    mime_type: Annotated[str, StringConstraints(max_length=256, pattern="^[ -~]*$")] | None = None
    source: Literal["camera", "screen"] = "camera"
    started_at: Moment | None = None
    sent_at: Moment | None = None


class PartEnd(Body):
    part: Annotated[StrictInt, PART] = 0
    last_sequence: Annotated[StrictInt, SEQUENCE]


class SetEnd(Body):
    own_codes: ClassVar[bool] = True

    parts: Annotated[list[PartEnd], Field(max_length=LAST_PART + 1)]


async def put_chunk(request: web.Request) -> web.Response:
    """PUT /api/v1/recordings/{id}/chunks/{participantId}/{part}/{sequence}: the chunk's bytes."""
    services, who = services_of(request), principal(request)
    recording_id, participant = await _sender(request, services, who)
    part = _number(request, "part", LAST_PART)
    sequence = _number(request, "sequence", LAST_SEQUENCE)
    check_plain(request)
    digests = content_digests(request)
    with request.app[TURNS].turn(participant):
        row = await services.copies.admit(
            recording_id, participant, _name(who), again=(part, sequence)
        )
        kept = await services.chunks.receive(
            row.id,
            part,
            sequence,
            body_blocks(request),
            digests,
            announced=request.content_length,
            closed=row.status != SetStatus.OPEN,
        )
    return _kept(services, row, part, sequence, kept)


async def post_chunk(request: web.Request) -> web.Response:
    """POST /video-calls/chunks/upload: the same in JSON and base64."""
    services, who = services_of(request), principal(request)
    _check_speaker(who)
    check_plain(request)
    limit = services.chunks.limits.chunk_bytes
    if (request.content_length or 0) > (limit + 2) // 3 * 4 + REST_OF_A_JSON_BODY:
        raise too_large(limit)
    # an application's own server sends for many, and for whom is in the body
    most = ALL_AT_ONCE if who.role == "server" else EACH_AT_ONCE
    with request.app[TURNS].turn(who.identity, most):
        size = (request.content_length or 0) // 4 * 3
        async with services.chunks.arriving(announced=size) as chunk:
            told = await _read_json(request, chunk)
            _check_segments(told.recording_id, told.participant_id)
            await _check_sender(services, who, told.recording_id, told.participant_id)
            row = await services.copies.admit(
                told.recording_id,
                told.participant_id,
                _name(who),
                again=(told.part, told.sequence),
            )
            kept = await services.chunks.keep(
                chunk, row.id, told.part, told.sequence, closed=row.status != SetStatus.OPEN
            )
        if kept.outcome == "stored" and told.timestamp is not None:
            await services.chunks.note_made_at(row.id, told.part, told.sequence, told.timestamp)
    return _kept(services, row, told.part, told.sequence, kept)


async def begin(request: web.Request) -> web.Response:
    """POST /api/v1/recordings/{id}/chunks/{participantId}: a part will come."""
    services, who = services_of(request), principal(request)
    recording_id, participant = await _sender(request, services, who)
    told = await read_body(request, PartBegun)
    row = await services.copies.admit(recording_id, participant, _name(who))
    return ok(await _state(services, await services.copies.announce(row, told.part, _facts(told))))


async def show_state(request: web.Request) -> web.Response:
    """GET /api/v1/recordings/{id}/chunks/{participantId}: what has come, and what may come."""
    services, who = services_of(request), principal(request)
    recording_id, participant = await _sender(request, services, who)
    row = await services.catalog.chunk_sets.find(recording_id, participant)
    if row is None:
        nothing = {"participantId": participant, "status": "none", "parts": [], "announced": False}
        return ok({**nothing, "limits": _limits(services)})
    return ok(await _state(services, row))


async def complete(request: web.Request) -> web.Response:
    """POST /api/v1/recordings/{id}/chunks/{participantId}/complete"""
    services, who = services_of(request), principal(request)
    recording_id, participant = await _sender(request, services, who)
    told = await read_body(request, SetEnd)
    last = {end.part: end.last_sequence for end in told.parts}
    if len(last) != len(told.parts):
        raise InvalidRequest("`parts`: a part stands twice", code="bad_parts")
    row = await services.catalog.chunk_sets.find(recording_id, participant)
    if row is None:
        row = await services.copies.admit(recording_id, participant, _name(who))
    return ok(await _state(services, await services.copies.complete(row, last)), status=202)


# --- who may ----------------------------------------------------------------------------------------


async def _sender(request: web.Request, services: Services, who: Principal) -> tuple[str, str]:
    """The path's recording and participant, if the caller may send for them.

    Raises InvalidRequest, Forbidden, UnknownRecording.
    """
    recording_id, participant = request.match_info["id"], request.match_info["participantId"]
    _check_segments(recording_id, participant)
    await _check_sender(services, who, recording_id, participant)
    return recording_id, participant


async def _check_sender(
    services: Services, who: Principal, recording_id: str, participant: str
) -> None:
    """Raises Forbidden, UnknownRecording."""
    _check_speaker(who)
    if who.role != "server" and who.identity != participant:
        raise Forbidden(
            "`participantId` has to be the token's identity: everybody sends their own chunks",
            code="not_your_chunks",
        )
    policy.require_member(who, await _room_of(services, recording_id))


def _check_speaker(who: Principal) -> None:
    """Raises Forbidden."""
    if who.role not in ("server", "host", "participant"):
        raise Forbidden("only who may speak in the room may send chunks", code="not_allowed")


async def _room_of(services: Services, recording_id: str) -> str:
    """Raises UnknownRecording."""
    for row in services.recordings.running():  # chunks come while it runs, mostly
        if row.id == recording_id:
            return row.room
    found = await services.catalog.recordings.get(recording_id)
    if found is None:
        raise UnknownRecording("there is no such recording")
    return found.room


def _check_segments(recording_id: str, participant: str) -> None:
    """Neither becomes a path here, but whoever tries that means no good. Raises InvalidRequest."""
    for name, value in (("recordingId", recording_id), ("participantId", participant)):
        if not 0 < len(value) <= LONGEST_NAME or DOTS.search(value):
            raise InvalidRequest(
                f"`{name}` is empty, longer than {LONGEST_NAME} characters, or has dots for a segment"
                " or control characters",
                code=f"bad_{name.removesuffix('Id')}_id",
            )


def _name(who: Principal) -> str:
    return "" if who.role == "server" else who.name


# --- what is read -----------------------------------------------------------------------------------


def _number(request: web.Request, name: str, last: int) -> int:
    """Raises InvalidRequest."""
    number = number_in(request.match_info[name])
    if number is None or number > last:
        raise InvalidRequest(
            f"`{name}` in the path has to be a number from 0 to {last}", code=f"bad_{name}"
        )
    return number


async def _read_json(request: web.Request, chunk: ArrivingChunk) -> ChunkUpload:
    """The body but for its chunk, which is written where it belongs as it comes."""
    long_field, decoder = LongField("chunk"), Base64Text()
    async for block in body_blocks(request):
        for text in long_field.feed(block):
            if decoded := decoder.feed(text):
                await chunk.write(decoded)
    long_field.close()
    await chunk.write(decoder.close())
    return parse_body(bytes(long_field.rest), ChunkUpload)


def _facts(told: PartBegun) -> Mapping[str, Any]:
    """What is kept of a part. How wrong the client's clock is is known up to the way of the request."""
    offset = None
    if told.sent_at is not None:
        offset = round((datetime.now(UTC) - told.sent_at) / timedelta(milliseconds=1))
    return {
        "mimeType": told.mime_type,
        "source": told.source,
        "startedAt": iso(told.started_at) if told.started_at else None,
        "clockOffsetMs": offset,
    }


# --- what is told -----------------------------------------------------------------------------------


def _kept(
    services: Services, row: ChunkSetRow, part: int, sequence: int, kept: Kept
) -> web.Response:
    if row.status == SetStatus.OPEN:
        services.copies.arrived(row, kept.size if kept.outcome == "stored" else 0)
    said = {"part": part, "sequence": sequence, "size": kept.size, "status": kept.outcome}
    return ok(said, status=201 if kept.outcome == "stored" else 200)


async def _state(services: Services, row: ChunkSetRow) -> dict[str, Any]:
    state = await services.copies.chunk_state(row)
    return {**state, "announced": bool(row.parts), "limits": _limits(services)}


def _limits(services: Services) -> dict[str, int]:
    limits = services.chunks.limits
    return {
        "chunkBytes": limits.chunk_bytes,
        "totalBytes": limits.set_bytes,
        "parts": LAST_PART + 1,
        "sequences": LAST_SEQUENCE + 1,
        "chunks": limits.chunks,
        "atOnce": EACH_AT_ONCE,
    }
