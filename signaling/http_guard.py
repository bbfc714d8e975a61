"""Connections that dawdle: a request head has a deadline, from connecting or from its first byte.

aiohttp only closes connections that are idle between requests, after an hour. It has no setting for
the head, so its protocol is subclassed and a Server of ours makes it. The private names that this
takes (`_loop`, `_messages`, `_request_count`, `_request_in_progress`, `_kwargs`, `_server`) are
pinned by `tests/signaling/test_http_guard.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from signaling.rest.envelope import failure

UNREADABLE: Final = "unreadable_request", "the request could not be read"
NO_PACKING: Final = "unsupported_media_type", "no such `Content-Encoding` is taken"
HEAD_SECONDS: Final = 10.0
KEEPALIVE_SECONDS: Final = 75.0  # from a response to the next request


class GuardedHandler(web.RequestHandler):
    """One connection. `head_timeout` is in seconds."""

    def __init__(self, manager: web.Server, *, head_timeout: float, **options: Any) -> None:
        super().__init__(manager, **options)
        self._head_timeout = head_timeout
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._deadline = self._loop.call_later(self._head_timeout, self._too_late)

    def data_received(self, data: bytes) -> None:
        heads = self._request_count
        super().data_received(data)
        if self._request_count != heads or self._busy():
            self._stop_waiting()
        elif self._deadline is None:
            self._deadline = self._loop.call_later(self._head_timeout, self._too_late)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What can't be read is the client's fault: no traceback, and not the offending line, which
        may hold a token. Packed bodies that aiohttp has no code for get no further than this either.
        """
        if status != 400:
            return super().handle_error(request, status, exc, message)
        self.logger.info("unreadable request from %s: %s", request.remote, type(exc).__name__)
        packed = isinstance(exc, ContentEncodingError)
        answer = failure(415 if packed else 400, *(NO_PACKING if packed else UNREADABLE))
        answer.force_close()
        return answer

    def _busy(self) -> bool:
        """A request is here: what comes is its body or a socket's frames."""
        return bool(self._messages) or self._request_in_progress

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if not self._busy():  # a body that came before its request was begun looks like a head
            self.force_close()


class GuardedServer(web.Server):
    def __call__(self) -> web.RequestHandler:
        return GuardedHandler(self, loop=self._loop, **self._kwargs)


class GuardedRunner(web.AppRunner):
    """An AppRunner whose connections have deadlines."""

    def __init__(self, app: web.Application, head_timeout: float = HEAD_SECONDS, **options: Any):
        options |= {"keepalive_timeout": KEEPALIVE_SECONDS, "head_timeout": head_timeout}
        super().__init__(app, **options)

    async def setup(self) -> None:
        await super().setup()
        made = self.server
        assert made is not None
        self._server = GuardedServer(
            made.request_handler, request_factory=made.request_factory, **self._kwargs
        )
