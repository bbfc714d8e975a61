"""Request bodies and queries as models, and the one way they are read and refused."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar

from aiohttp import web
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from recorder.composite.spec import parse_options
from recorder.errors import BadRenderOptions
from signaling.errors import InvalidRequest
from signaling.policy import LONGEST_NAME, RoomRole

DAY: Final = 86_400
LARGEST_PAGE: Final = 200

RecordingStatus = Literal["starting", "recording", "processing", "uploading", "recorded", "failed"]


def _printable(text: str) -> str:
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text):
        raise ValueError("control characters are not allowed")
    return text


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_NAME),
    AfterValidator(_printable),
]


class Body(BaseModel):
    """camelCase outside, snake_case inside; fields that are not known are ignored.

    With `own_codes` the code of a refusal names the field: `bad_layout`.
    """

    own_codes: ClassVar[bool] = False
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=False,
        frozen=True,
        extra="ignore",
        defer_build=True,  # a model that is never asked for costs a start nothing
    )


class TokenRequest(Body):
    room: Name
    identity: Name | None = None
    name: Name | None = None
    role: RoomRole = "participant"
    ttl_seconds: int = Field(default=6 * 3600, ge=60, le=30 * DAY)


class InviteRequest(Body):
    role: RoomRole = "participant"
    expires_in_seconds: int = Field(default=DAY, ge=60, le=90 * DAY)
    max_uses: int | None = Field(default=None, ge=1, le=100_000)


class AcceptRequest(Body):
    name: Name


def _quality(value: Any) -> Any:
    try:
        parse_options({"quality": value})
    except BadRenderOptions as error:
        raise ValueError(str(error)) from None
    if isinstance(value, dict):  # what is kept holds nothing else
        return {name: value[name] for name in ("height", "fps", "videoBitrate") if name in value}
    return value


Mode = Literal["tracks", "composite"]
Layout = Literal["grid", "speaker", "single"]
Quality = Annotated[Any, AfterValidator(_quality)]  # as recorder.composite.spec reads it


class RecordingStart(Body):
    """What is not said, the room's settings say. `tracks` also keeps a file for each track.

    `layout` and `quality` shape composites, also those that are asked for later; `audioOnly` leaves
    the pictures out of everything.
    """

    own_codes: ClassVar[bool] = True

    mode: Mode | Literal["client"] | None = None
    layout: Layout | None = None
    audio_only: StrictBool | None = None
    quality: Quality = None
    tracks: StrictBool | None = None


class RecordingQuery(Body):
    room: Name | None = None
    mentorship_id: Name | None = None
    call_id: Name | None = None
    status: RecordingStatus | None = None
    since: AwareDatetime | None = Field(default=None, alias="from")
    until: AwareDatetime | None = Field(default=None, alias="to")
    include_signed_url: bool = True
    page: int = Field(default=1, ge=1, le=1_000_000)
    limit: int = Field(default=20, ge=1, le=LARGEST_PAGE)


class RoomQuery(Body):
    room: Name


class PageQuery(Body):
    page: int = Field(default=1, ge=1, le=1_000_000)
    limit: int = Field(default=20, ge=1, le=LARGEST_PAGE)


BodyType = TypeVar("BodyType", bound=Body)
_NAME: Final = TypeAdapter(Name)


async def read_body(request: web.Request, model: type[BodyType]) -> BodyType:
    """The JSON body, or the defaults when it is empty. Raises InvalidRequest."""
    return parse_body(await request.read(), model)


def parse_body(raw: bytes, model: type[BodyType]) -> BodyType:
    """The same of a body that was read. Raises InvalidRequest."""
    try:
        return model.model_validate_json(raw if raw.strip() else b"{}")
    except ValidationError as error:
        raise refusal(error, "the body", own_codes=model.own_codes) from None


def read_query(request: web.Request, model: type[BodyType]) -> BodyType:
    """Raises InvalidRequest."""
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise refusal(error, "the query", own_codes=model.own_codes) from None


def room_of(request: web.Request) -> str:
    """The path's `{room}`. Raises InvalidRequest."""
    try:
        return _NAME.validate_python(request.match_info["room"])
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise InvalidRequest(f"the room in the path: {problem}") from None


def refusal(error: ValidationError, where: str, *, own_codes: bool = False) -> InvalidRequest:
    """What the caller is told of a model's complaint. `where` stands for a body without fields."""
    fields: list[dict[str, Any]] = [
        {
            "field": ".".join(str(part) for part in item["loc"]),
            "problem": item["msg"].removeprefix("Value error, "),
        }
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first, kind = fields[0], error.errors()[0]["type"]
    what = f"`{first['field']}`" if first["field"] else where
    code = _own_code(first["field"], kind) if own_codes else None
    return InvalidRequest(f"{what}: {first['problem']}", code=code, details={"fields": fields})


def _own_code(field: str, kind: str) -> str | None:
    """`audioOnly` -> `bad_audio_only`; None for a body that is no object."""
    if kind == "extra_forbidden":
        return "unknown_field"
    name = field.partition(".")[0]
    return "bad_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() if name else None
