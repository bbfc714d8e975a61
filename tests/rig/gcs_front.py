"""What stands before the emulator of Google Cloud Storage and does what that leaves out.

- Signed requests and forms are held to their signatures; objects in the XML interface need one. The
  JSON interface may be asked without credentials, as emulators allow it; an access token, if there is
  one, has to be from the token server that is here too. (`tests.rig.gcs_xml`)
- Multipart uploads of the XML interface. (`tests.rig.gcs_parts`)
- Generations: an answer says which one it sends, and `ifGenerationMatch` is kept.
- Resumable uploads can be cancelled, tell that they are complete, and keep of what arrived before a
  cut whole multiples of 256 KiB.
- Pages of lists, ranges past the end, and the text of a 404.
- Pages of other origins (CORS), if the bucket's settings let them.

Everything else is the emulator's answer. That has one thread: a request goes to it when all of it is
here, and its answer is taken before any of it goes on, so that a slow client stops nobody else.
"""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

import jwt
from aiohttp import web

from tests.rig.gcs_emulator import Emulator, Reply
from tests.rig.gcs_incoming import Incoming, Manners
from tests.rig.gcs_signatures import ServiceAccount
from tests.rig.gcs_xml import XmlInterface

BLOCK = 256 * 1024
JSON_INTERFACE = ("/storage/v1/", "/upload/storage/v1/", "/batch/storage/v1")
OBJECT = re.compile(r"/storage/v1/b/[^/]+/o/([^/]+)")
REWRITE = re.compile(r"/storage/v1/b/[^/]+/o/[^/]+/rewriteTo/b/[^/]+/o/[^/]+")
LIST = re.compile(r"/storage/v1/b/[^/]+/o")
PERMISSIONS = re.compile(r"/storage/v1/b/[^/]+/iam/testPermissions")
PLACE = re.compile(r"bytes (\d+)-(\d+)/(\*|\d+)")
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Cut(Exception):
    """The connection ends without an answer: the client has left in the middle."""


@dataclass(slots=True)
class Session:
    """A resumable upload, and what came of it."""

    resource: Any = None
    cancelled: bool = False


class GcsFront:
    """`account` is whose signatures and tokens count."""

    def __init__(self, emulator: Emulator, account: ServiceAccount) -> None:
        self.manners = Manners()
        self.sessions: dict[str, Session] = {}
        self.xml = XmlInterface(emulator, account, self.manners)
        self._account = account
        self._emulator = emulator
        self.tokens: set[str] = set()
        self._begun_rewrites: dict[str, int] = {}

    async def wipe(self) -> None:
        """No objects, no uploads, and good manners."""
        async with self._emulator.turn:
            await self._emulator.wipe()
        self.sessions.clear()
        self.xml.uploads.clear()
        for name in Manners.__slots__:
            setattr(self.manners, name, getattr(Manners(), name))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        most = None
        if request.method == "PUT" and "upload_id" in request.query and request.body_exists:
            most, self.manners.cutting = self.manners.cutting, None
        incoming = await Incoming.read(request, most)
        try:
            async with self._emulator.turn:
                reply = await self._answer(incoming)
        except Cut:
            if request.transport is not None:  # the client may have been the one who left
                request.transport.abort()
            return web.Response(status=500)
        reply.headers.update(self._cors(request))
        return await _sent(request, reply)

    def _cors(self, request: web.BaseRequest) -> dict[str, str]:
        """What pages of other origins hear, as the settings of the bucket have it."""
        origin = request.headers.get("Origin")
        if origin not in self.manners.origins:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT",
            "Access-Control-Allow-Headers": "Content-Type, Range",
            "Access-Control-Expose-Headers": "ETag, Content-Range",
        }

    async def _answer(self, incoming: Incoming) -> Reply:
        if not incoming.whole and "upload_id" not in incoming.query:
            raise Cut
        if incoming.method == "OPTIONS":
            return Reply.of_json(200, {})
        if incoming.path == "/token":
            return self._token(incoming)
        if not incoming.path.startswith(JSON_INTERFACE):
            return await self.xml.answer(incoming)
        bearer = incoming.headers.get("Authorization")
        if bearer is not None and bearer.removeprefix("Bearer ") not in self.tokens:
            return _error(401, "authError", "Invalid Credentials")
        reply = await self._of_json_interface(incoming)
        if reply.status == 404 and not reply.size:
            return await self._not_found(incoming)
        return reply

    async def _of_json_interface(self, incoming: Incoming) -> Reply:
        method, path, query = incoming.method, incoming.path, incoming.query
        if "upload_id" in query:
            return await self._session(incoming)
        if query.get("uploadType") == "multipart":
            return await self._pass(incoming, self._damaged(incoming.body, b"\r\n--"))
        if method == "GET" and LIST.fullmatch(path):
            return await self._list(incoming)
        if method == "GET" and PERMISSIONS.fullmatch(path) and self.manners.granted is not None:
            return Reply.of_json(200, {"permissions": list(self.manners.granted)})
        if REWRITE.fullmatch(path) and self._is_to_be_continued(query):
            return Reply.of_json(200, {"done": False, "rewriteToken": self._begun(query)})
        if (found := OBJECT.fullmatch(path)) and {"alt", "ifGenerationMatch"} & query.keys():
            return await self._of_a_generation(unquote(found[1]), incoming)
        return await self._pass(incoming, incoming.body)

    async def _pass(self, incoming: Incoming, body: bytes, place: str | None = None) -> Reply:
        passed = incoming.headers.copy()
        if place is not None:
            passed["Content-Range"] = place
        return await self._emulator.ask(incoming.method, incoming.target, passed, body)

    # --- reading ----------------------------------------------------------------------------------

    async def _of_a_generation(self, key: str, incoming: Incoming) -> Reply:
        resource = await self._emulator.resource(key)
        if resource is None:
            return Reply(404)
        generation, wanted = resource["generation"], incoming.query.get("ifGenerationMatch")
        if wanted not in (None, generation):
            return _error(412, "conditionNotMet", "At least one precondition did not hold.")
        asked = RANGE.fullmatch(incoming.headers.get("Range", ""))
        if incoming.method == "GET" and asked and int(asked[1]) >= int(resource["size"]):
            return _error(416, "requestedRangeNotSatisfiable", "Request range not satisfiable")
        reply = await self._pass(incoming, incoming.body)
        reply.headers["X-Goog-Generation"] = generation
        return reply

    async def _list(self, incoming: Incoming) -> Reply:
        reply = await self._pass(incoming, b"")
        if reply.status != 200:
            return reply
        after = base64.b64decode(incoming.query.get("pageToken", "")).decode()
        items = [item for item in reply.json()["items"] if item["name"] > after]
        page = items[: self.manners.page]
        said: dict[str, Any] = {"kind": "storage#objects"}
        if page:  # Google leaves out what is empty
            said["items"] = page
        if len(items) > len(page):
            said["nextPageToken"] = base64.b64encode(page[-1]["name"].encode()).decode()
        return Reply.of_json(200, said)

    async def _not_found(self, incoming: Incoming) -> Reply:
        bucket = incoming.path.partition("/b/")[2].partition("/")[0]
        if await self._emulator.has_bucket(unquote(bucket)):
            return _error(404, "notFound", "No such object")
        return _error(404, "notFound", "The specified bucket does not exist.")

    # --- writing ----------------------------------------------------------------------------------

    async def _session(self, incoming: Incoming) -> Reply:
        session = self.sessions.setdefault(incoming.query["upload_id"], Session())
        if incoming.method == "DELETE":
            session.cancelled = True
            return Reply(499)
        if session.cancelled:
            return Reply(410)
        place = PLACE.fullmatch(incoming.headers.get("Content-Range", ""))
        if place is None and session.resource is not None:
            return Reply.of_json(200, session.resource)
        if not incoming.whole:
            await self._keep_what_came(incoming, place)
            raise Cut
        body = self._damaged(incoming.body, b"") if place else b""
        reply = await self._pass(incoming, body)
        if reply.status == 200:
            session.resource = reply.json()
        elif reply.headers.get("Range") == "bytes=0-0":  # what the emulator says of nothing at all
            del reply.headers["Range"]
        return reply

    async def _keep_what_came(self, incoming: Incoming, place: re.Match[str] | None) -> None:
        kept = incoming.body[: len(incoming.body) // BLOCK * BLOCK]
        if place and kept:
            start = int(place[1])
            content_range = f"bytes {start}-{start + len(kept) - 1}/*"
            await self._pass(incoming, kept, content_range)

    def _damaged(self, body: bytes, before: bytes) -> bytes:
        """With another last byte (of those before the last `before`), if it is time for that."""
        if not self.manners.damaging or not body:
            return body
        self.manners.damaging -= 1
        last = body.rfind(before) - 1
        return body[:last] + bytes([body[last] ^ 1]) + body[last + 1 :]

    def _is_to_be_continued(self, query: Any) -> bool:
        return self._begun_rewrites.get(query.get("rewriteToken", ""), 1) < self.manners.rewrites

    def _begun(self, query: Any) -> str:
        calls = self._begun_rewrites.pop(query.get("rewriteToken", ""), 1)
        token = secrets.token_hex(8)
        self._begun_rewrites[token] = calls + 1
        return token

    # --- tokens -----------------------------------------------------------------------------------

    def _token(self, incoming: Incoming) -> Reply:
        """An access token for an assertion that the account signed (RFC 7523)."""
        asserted = parse_qs(incoming.body.decode()).get("assertion", [""])[0]
        try:
            said = jwt.decode(
                asserted,
                self._account.public_key,
                algorithms=["RS256"],
                options={"verify_aud": False},
            )
        except jwt.InvalidTokenError:
            said = {}
        if said.get("iss") != self._account.email:
            return Reply.of_json(
                400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            )
        token = secrets.token_urlsafe(24)
        self.tokens.add(token)
        return Reply.of_json(
            200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
        )


async def _sent(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = reply.size
    await response.prepare(request)
    reply.body.seek(0)
    while block := reply.body.read(BLOCK):
        await response.write(block)
    await response.write_eof()
    reply.body.close()
    return response


def _error(status: int, reason: str, message: str) -> Reply:
    errors = [{"domain": "global", "reason": reason, "message": message}]
    return Reply.of_json(status, {"error": {"code": status, "message": message, "errors": errors}})
