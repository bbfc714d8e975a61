"""A bad network between a client and an HTTP server: a proxy that cuts, delays, lies and refuses.

It understands just enough of HTTP/1.1 (RFC 9112) to tell requests and bodies apart, and passes on
everything else byte for byte: also `Host`, which signatures cover, so a store whose endpoint is the
proxy's `url` works as with its own.

For each request the first rule that matches says which fault it meets; then `schedule` is asked;
then there is none. The proxy writes down every request, so a test can tell what was repeated.
It has a thread and a loop of its own: the code under test may block its own.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

from tests.rig.messages import BLOCK, Head, Stream, body_blocks

REASONS = {429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}

Result = TypeVar("Result")


# --- faults ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refuse:
    """The connection is reset before the server hears of the request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The server hears nothing; the client gets this. `retry_after` is the header, as it stands."""

    status: int
    retry_after: str | None = None
    body: bytes = b"the proxy's own answer"
    content_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class CutRequest:
    """The connection is reset when the server has got `after` bytes of the request's body.

    A body that is shorter passes.
    """

    after: int = 0


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The server does what it was asked to; the connection ends before the client hears of it."""


@dataclass(frozen=True, slots=True)
class CutAnswer:
    """The connection ends after `after` bytes of the answer's body. A shorter one passes."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Lie:
    """`Content-Length` of the answer is `by` more than the bytes that follow (or less, below 0).

    Then the connection ends.
    """

    by: int


@dataclass(frozen=True, slots=True)
class Dribble:
    """The answer's body comes `count` bytes at a time with `pause` seconds between."""

    count: int
    pause: float


@dataclass(frozen=True, slots=True)
class Stall:
    """The request waits `seconds` before the server hears of it."""

    seconds: float


Fault = Refuse | Answer | CutRequest | LoseAnswer | CutAnswer | Lie | Dribble | Stall


# --- requests and rules ---------------------------------------------------------------------------


@dataclass(slots=True)
class Request:
    """One request as it came. `body_bytes` is how many of the body were passed on so far."""

    method: str
    target: str
    headers: dict[str, str]
    fault: Fault | None = None
    body_bytes: int = 0

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


Schedule = Callable[[Request], Fault | None]


@dataclass(slots=True)
class Rule:
    """A fault for the next `times` requests whose method is this and whose target holds the text."""

    fault: Fault
    method: str = ""
    containing: str = ""
    times: int = 1
    skip: int = 0

    def take(self, request: Request) -> bool:
        if self.method not in ("", request.method) or self.containing not in request.target:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


def seeded(
    seed: int, chances: Sequence[tuple[float, Fault]], spare: Schedule | None = None
) -> Schedule:
    """Each fault with its chance (0 to 1), the same ones in the same order for the same seed.

    A request for which `spare` returns a fault meets that one instead of those of the dice; so
    `spare` may exchange one that the client can't be asked to survive for one that it can.
    """
    dice = random.Random(seed)

    def choose(request: Request) -> Fault | None:
        thrown = dice.random()
        for chance, fault in chances:
            if thrown < chance:
                return (spare(request) if spare else None) or fault
            thrown -= chance
        return None

    return choose


# --- the proxy ------------------------------------------------------------------------------------


class _Cut(Exception):
    """The connection ends here."""


class FaultProxy:
    """A running proxy. `requests` are in the order of their arrival."""

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "127.0.0.1", address.port or 80)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._port = 0
        self._rules: list[Rule] = []
        self.schedule: Schedule | None = None
        self.requests: list[Request] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def inject(
        self,
        fault: Fault,
        *,
        method: str = "",
        containing: str = "",
        times: int = 1,
        skip: int = 0,
    ) -> None:
        """Let the next `times` requests that match meet a fault, after `skip` that don't.

        `containing` is a piece of the target (path and query).
        """
        self._rules.append(Rule(fault, method, containing, times, skip))

    def count(self, method: str = "", containing: str = "") -> int:
        """How many requests came so far with this method and this text in their target."""
        return len(self.matching(method, containing))

    def matching(self, method: str = "", containing: str = "") -> list[Request]:
        return [
            request
            for request in list(self.requests)
            if method in ("", request.method) and containing in request.target
        ]

    def forget(self) -> None:
        """No rules, no schedule, no requests."""
        self._rules.clear()
        self.schedule = None
        self.requests.clear()

    @property
    def down(self) -> bool:
        """Down, new connections are refused and those that were open are reset."""
        return self._server is None

    @down.setter
    def down(self, down: bool) -> None:
        if down != self.down:
            self._call(self._stop() if down else self._listen())

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()
        self._call(self._listen())

    def close(self) -> None:
        self.down = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Awaitable[Result]) -> Result:
        async def await_it() -> Result:
            return await work

        return asyncio.run_coroutine_threadsafe(await_it(), self._loop).result(timeout=10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self._port, limit=BLOCK, backlog=128
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self._server = None
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    # --- one connection ---------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        client, flush = Stream(reader, writer), False
        try:
            while await self._serve_one(client):
                pass
            flush = True
        except _Cut:
            pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client or the server left in the middle: then the other one is cut off too
        except asyncio.CancelledError:
            pass  # `down`, the only one who cancels, ends every connection so
        finally:
            self._connections.discard(task)
            client.end(flush=flush)

    async def _serve_one(self, client: Stream) -> bool:
        """One request; may another one follow on this connection?"""
        head = await Head.read(client.reader)
        if head is None:
            return False
        method, target, _ = head.first_line.split(" ")
        request = Request(method, target, head.headers)
        request.fault = self._fault_for(request)
        self.requests.append(request)
        match request.fault:
            case Refuse():
                raise _Cut
            case Answer() as answer:
                return await _answer_alone(client, head, request, answer)
            case Stall(seconds):
                await asyncio.sleep(seconds)
        return await self._pass_on(client, head, request)

    def _fault_for(self, request: Request) -> Fault | None:
        for rule in self._rules:
            if rule.take(request):
                return rule.fault
        return self.schedule(request) if self.schedule else None

    async def _pass_on(self, client: Stream, head: Head, request: Request) -> bool:
        # a connection for each request: an idle one could end at any time, and that would be a
        # fault that nobody ordered
        server = Stream(*await asyncio.open_connection(*self._upstream, limit=BLOCK))
        sending = asyncio.create_task(_send(client, server, head, request))
        answering = asyncio.create_task(_answer(client, server, request))
        whole = False
        try:
            await asyncio.wait((sending, answering), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            keep = await answering
            # answered before it heard all: what else the client sends is not for anybody
            whole = sending.done()
            return keep and whole and not head.closes
        finally:
            for task in (sending, answering):
                task.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)
            server.end(flush=whole)


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """`upstream` is the server's URL, of which host and port count."""
    proxy = FaultProxy(upstream)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()


# --- messages -------------------------------------------------------------------------------------


async def _answer_alone(client: Stream, head: Head, request: Request, answer: Answer) -> bool:
    waits = "expect" in head.headers  # and will not send its body when it is refused
    if not waits:
        async for block in body_blocks(client.reader, head, open_ended=False):
            request.body_bytes += len(block)
    lines = [
        f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Fault')}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
    ]
    if answer.retry_after is not None:
        lines.append(f"Retry-After: {answer.retry_after}")
    if waits:
        lines.append("Connection: close")
    body = b"" if request.method == "HEAD" else answer.body
    await client.write("\r\n".join([*lines, "", ""]).encode() + body)
    return not waits


async def _send(client: Stream, server: Stream, head: Head, request: Request) -> None:
    left = request.fault.after if isinstance(request.fault, CutRequest) else None
    await server.write(head.raw)
    async for block in body_blocks(client.reader, head, open_ended=False):
        cut = left is not None and len(block) >= left
        passing = block[:left] if cut else block
        request.body_bytes += len(passing)
        try:
            await server.write(passing)
        except ConnectionError:
            return  # it has heard enough; its answer may be on the way
        if cut:
            raise _Cut
        left = None if left is None else left - len(block)


async def _answer(client: Stream, server: Stream, request: Request) -> bool:
    """Pass the answer on; may another request follow it?"""
    while True:
        head = await Head.read(server.reader)
        if head is None:
            raise _Cut
        status = int(head.first_line.split(" ")[1])
        if status >= 200:
            break
        await client.write(head.raw)  # 100 Continue
    empty = request.method == "HEAD" or status in (204, 304)
    body = _nothing() if empty else body_blocks(server.reader, head, open_ended=True)
    match request.fault:
        case LoseAnswer():
            await _cut_off(client, body, flush=False)
        case Lie(by) if head.length is not None and not empty:
            await client.write(head.with_length(max(0, head.length + by)))
            with suppress(ConnectionError):  # who was told of fewer bytes may leave after them
                async for block in body:
                    await client.write(block)
            await _cut_off(client, body, flush=True)
    await client.write(head.raw)
    await _answer_body(client, body, request.fault)
    open_ended = not empty and head.length is None and not head.chunked
    return not (open_ended or head.closes)


async def _answer_body(
    client: Stream, body: AsyncGenerator[bytes, None], fault: Fault | None
) -> None:
    left = fault.after if isinstance(fault, CutAnswer) else None
    async for block in body:
        if left is not None and len(block) > left:
            await client.write(block[:left])
            await _cut_off(client, body, flush=True)
        left = None if left is None else left - len(block)
        if isinstance(fault, Dribble):
            await _dribble(client, block, fault)
        else:
            await client.write(block)


async def _cut_off(client: Stream, body: AsyncGenerator[bytes, None], *, flush: bool) -> NoReturn:
    """The client hears no more, and the server thinks that all is well."""
    client.end(flush=flush)
    async for _ in body:
        pass
    raise _Cut


async def _nothing() -> AsyncGenerator[bytes, None]:
    nothing: tuple[bytes, ...] = ()
    for block in nothing:
        yield block


async def _dribble(client: Stream, block: bytes, fault: Dribble) -> None:
    for offset in range(0, len(block), fault.count):
        await client.write(block[offset : offset + fault.count])
        await asyncio.sleep(fault.pause)
