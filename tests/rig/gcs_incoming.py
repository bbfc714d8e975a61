"""A request to the rig's Google Cloud Storage, and the manners in which it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDictProxy


@dataclass(slots=True)
class Manners:
    """How the store behaves. Tests change it."""

    ahead: timedelta = timedelta()  # its clock, before everyone else's
    page: int = 1000  # entries of a list at a time
    damaging: int = 0  # how many of the next uploads arrive with another last byte
    cutting: int | None = None  # bytes of the next chunk of an upload before the connection ends
    rewrites: int = 1  # calls that a copy takes
    granted: tuple[str, ...] | None = None  # permissions; None: all that are asked for
    origins: tuple[str, ...] = ()  # whose pages may use the bucket by script (its CORS settings)


@dataclass(frozen=True, slots=True)
class Incoming:
    """`target` is as it came. `whole`: all of the body arrived."""

    method: str
    target: str
    headers: CIMultiDictProxy[str]
    body: bytes
    whole: bool = True
    query: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        pairs = parse_qsl(self.target.partition("?")[2], keep_blank_values=True)
        object.__setattr__(self, "query", dict(pairs))

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @classmethod
    async def read(cls, request: web.BaseRequest, most: int | None = None) -> Incoming:
        """With no more than `most` bytes of the body."""
        body, whole = bytearray(), True
        try:
            while block := await request.content.readany():
                body += block
                if most is not None and len(body) >= most:
                    del body[most:]
                    whole = False
                    break
        except (OSError, web.RequestPayloadError):
            whole = False
        return cls(request.method, request.raw_path, request.headers, bytes(body), whole)
