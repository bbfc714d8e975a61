"""Webhooks: every change of a recording's status, to every configured address, in order.

What has to be told is written into the outbox (`storage.catalog.webhooks`) in the transaction that
changes the status, so it survives whatever happens next. A task for each address takes its oldest row,
sends it, and goes on when it was taken (2xx); otherwise it tries again, later and later, also after a
restart, for 24 hours. Requests go to the configured addresses only: no redirect is followed, and
nothing of an answer but its status is read.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import jwt

from signaling.egress_events import body_of
from storage.catalog import RecordingRow, WebhookRepository, WebhookRow
from storage.catalog.ids import new_webhook_id
from storage.errors import StorageError

log: Final = logging.getLogger(__name__)

CONTENT_TYPE: Final = "application/webhook+json"
SEND_SECONDS: Final = 5.0
TOKEN_SECONDS: Final = 300
KEPT: Final = timedelta(hours=24)
POLL_SECONDS: Final = 30.0  # for rows that nobody announced: recovery's, before the first change
LONGEST_PAUSE: Final = 300.0
REFUSALS: Final = 8
"""How often an address may refuse one event in so many words (4xx) before the next one has its turn."""
WORTH_REPEATING: Final = frozenset({408, 425, 429})


def pause(attempt: int) -> float:
    """Seconds before the next try, after `attempt` tries."""
    return min(float(2 ** min(attempt, 16)), LONGEST_PAUSE)


def place_of(url: str) -> str:
    """An address for logs: paths and queries may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


class Outbox:
    """`RecordingRepository.announce`: the rows that a change of status adds to the outbox."""

    def __init__(self, urls: Sequence[str], clock: Callable[[], datetime]) -> None:
        self._urls = tuple(urls)
        self._clock = clock
        self._latest: datetime | None = None

    def __call__(self, row: RecordingRow) -> list[WebhookRow]:
        if not self._urls:
            return []
        now = at = self._clock()
        if self._latest is not None:  # rows are sent in the order of their time
            at = max(now, self._latest + timedelta(microseconds=1))
        self._latest = at
        body = body_of(row, new_webhook_id(), now)
        return [WebhookRow(new_webhook_id(), url, body, 0, now, None, at) for url in self._urls]


class Webhooks:
    """Sends what the outbox holds, from `start` to `close`. The first of `keys` signs."""

    def __init__(
        self,
        outbox: WebhookRepository,
        urls: Sequence[str],
        keys: Mapping[str, str],
        *,
        clock: Callable[[], datetime],
        pause: Callable[[int], float] = pause,
    ) -> None:
        self._outbox = outbox
        self._key, self._secret = next(iter(keys.items()))
        self._clock = clock
        self._pause = pause
        self._news = {url: asyncio.Event() for url in urls}
        self._quiet = {url: asyncio.Event() for url in urls}
        self._tasks: list[asyncio.Task[None]] = []
        self._http: aiohttp.ClientSession | None = None

    def start(self) -> None:
        if not self._news:
            return
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=SEND_SECONDS), cookie_jar=aiohttp.DummyCookieJar()
        )
        self._tasks = [
            asyncio.create_task(self._serve(url), name=f"webhooks to {place_of(url)}")
            for url in self._news
        ]

    def wake(self, _row: RecordingRow | None = None) -> None:
        """There is something new in the outbox."""
        for url in self._news:
            self._quiet[url].clear()
            self._news[url].set()

    async def quiet(self, timeout: float) -> bool:
        """Waits until every address has taken what there is or keeps us waiting for it."""
        self.wake()
        waits = [asyncio.ensure_future(event.wait()) for event in self._quiet.values()]
        if not waits:
            return True
        _, late = await asyncio.wait(waits, timeout=timeout)
        for wait in late:
            wait.cancel()
        return not late

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    async def expire(self) -> None:
        """Drops what nobody took for 24 hours, also of addresses that are configured no more."""
        dropped = await self._outbox.strike_before(self._clock() - KEPT)
        if dropped:
            log.warning("%d webhooks were not taken for 24 hours and are dropped", dropped)

    async def _serve(self, url: str) -> None:
        failures = 0
        while True:
            news = self._news[url]
            news.clear()
            try:
                rest = await self._round(url)
                failures = 0
            except StorageError as error:
                log.error("webhooks wait for the catalog: %s", error)
                rest = self._pause(failures)
                failures += 1
            except Exception:  # supervises: one bad event must not end all others
                log.exception("a webhook to %s failed", place_of(url))
                rest = self._pause(failures)
                failures += 1
            self._quiet[url].set()
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), rest)

    async def _round(self, url: str) -> float:
        """Sends what is due; how many seconds until it is worth looking again."""
        while True:
            waiting = await self._outbox.waiting(url, 1)
            if not waiting:
                return POLL_SECONDS
            (row,) = waiting
            now = self._clock()
            if now - row.created_at >= KEPT:
                log.warning("a webhook to %s was not taken for 24 hours", place_of(url))
                await self._outbox.strike(row.id)
            elif row.due_at > now:
                return min(POLL_SECONDS, (row.due_at - now).total_seconds())
            elif (problem := await self._send(row)) is None:
                await self._outbox.strike(row.id)
            else:
                await self._failed(row, *problem)

    async def _failed(self, row: WebhookRow, problem: str, refused: bool) -> None:
        attempt = row.attempts + 1
        level = logging.WARNING if attempt == 1 else logging.DEBUG
        log.log(level, "a webhook to %s is not taken: %s", place_of(row.url), problem)
        if refused and attempt >= REFUSALS:
            log.error("a webhook to %s is given up: %s", place_of(row.url), problem)
            await self._outbox.strike(row.id)
            return
        due = self._clock() + timedelta(seconds=self._pause(attempt))
        await self._outbox.failed(row.id, due, problem)

    async def _send(self, row: WebhookRow) -> tuple[str, bool] | None:
        """None when it was taken; else why not, and whether it was refused in so many words."""
        assert self._http is not None
        body = row.body.encode()
        headers = {
            "Authorization": self._token(body),
            "Content-Type": CONTENT_TYPE,
            "User-Agent": "LiveKit",
        }
        try:
            async with self._http.post(
                row.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                status = answer.status
        except TimeoutError:
            return f"no answer within {SEND_SECONDS:g} s", False
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return type(error).__name__, False
        if 200 <= status < 300:
            return None
        return f"status {status}", 400 <= status < 500 and status not in WORTH_REPEATING

    def _token(self, body: bytes) -> str:
        now = int(time.time())
        claims = {
            "iss": self._key,
            "nbf": now,
            "exp": now + TOKEN_SECONDS,
            "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        }
        return jwt.encode(claims, self._secret, algorithm="HS256")
