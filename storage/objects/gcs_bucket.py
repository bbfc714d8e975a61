"""One bucket of Google Cloud Storage behind HTTP: the session, its threads, and asking again.

Requests are made here rather than by google-cloud-storage, which only signs: what a bounded repetition
has to know (how much an upload has, which delete of a batch failed, which generation is being read)
the SDK keeps to itself. Tokens come from google-auth, whose `AuthorizedSession` asks for new ones.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

import requests
from google.auth.transport.requests import AuthorizedSession
from requests.adapters import HTTPAdapter

from storage.errors import EndpointWrong
from storage.objects.gcs_account import Account
from storage.objects.gcs_errors import Place, refusal_of, refused, translated
from storage.objects.ranges import BLOCK_BYTES
from storage.objects.retry import Retrier
from storage.objects.threads import Cancelled, Threads

GOOGLE: Final = "https://storage.googleapis.com"
JSON_API: Final = "/storage/v1"
THREADS: Final = 12
CONNECT_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 60.0

Result = TypeVar("Result")


class Interrupted(Exception):
    """Nobody waits for this request any more. Never leaves a thread."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `doing` completes "could not ..."; `key` is the object that a 404 is about.

    Answers with a status in `also` are answers, as those with 2xx are; all others are refusals.
    `idle` is how many seconds the answer may take, or pause.
    """

    method: str
    url: str
    doing: str
    key: str = ""
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | memoryview = b""
    also: frozenset[int] = frozenset()
    streamed: bool = False
    idle: float = IDLE_SECONDS


class Bucket:
    """Nothing is sent before the first call. `endpoint` of None is Google's."""

    def __init__(
        self, name: str, account: Account, endpoint: str | None, retrier: Retrier | None
    ) -> None:
        self.name = name
        self.account = account
        self.base = _origin(endpoint) if endpoint else GOOGLE
        self.place = Place(name, urlsplit(self.base).netloc if endpoint else "Google Cloud Storage")
        self.retrier = retrier or Retrier()
        self.threads = Threads("gcs", THREADS)
        self._path = f"/b/{quote(name, safe='')}"
        self.url = f"{self.base}{JSON_API}{self._path}"
        self.uploads_url = f"{self.base}/upload{JSON_API}{self._path}/o"
        self.batch_url = f"{self.base}/batch{JSON_API}"
        self._making = threading.Lock()
        self._made: requests.Session | None = None

    def object_path(self, key: str) -> str:
        """Below the JSON interface's own path; the whole key is one component."""
        return f"{self._path}/o/{quote(key, safe='')}"

    def object_url(self, key: str) -> str:
        return f"{self.base}{JSON_API}{self.object_path(key)}"

    def xml_url(self, key: str = "") -> str:
        """The bucket, or an object of it, in the XML interface."""
        return f"{self.base}/{quote(self.name, safe='')}/{quote(key, safe='/~')}"

    async def ask(self, call: Call, *, idempotent: bool = True) -> requests.Response:
        """One request, repeated as far as that may help."""
        return await self.retrier(lambda: self.once(call), idempotent=idempotent)

    async def once(self, call: Call) -> requests.Response:
        return await self.threads.run_cancellable(lambda cancelled: self._send(call, cancelled))

    async def run(self, work: Callable[[], Result], doing: str) -> Result:
        """Other blocking work with the network, in a thread, its errors in our words."""

        def translating() -> Result:
            with translated(self.place, doing):
                return work()

        return await self.threads.run(translating)

    def close(self) -> None:
        self.threads.close()
        if self._made is not None:
            self._made.close()

    def _send(self, call: Call, cancelled: Cancelled) -> requests.Response:
        if cancelled():
            raise Interrupted
        with translated(self.place, call.doing):
            answer = self._session().request(
                call.method,
                call.url,
                params=dict(call.query),
                headers=dict(call.headers),
                data=_Blocks(call.body, cancelled) if call.body else None,
                timeout=(CONNECT_SECONDS, call.idle),
                stream=call.streamed,
                allow_redirects=False,  # a token goes nowhere but to the endpoint
            )
            if 200 <= answer.status_code < 300 or answer.status_code in call.also:
                return answer
            with answer:
                said = refusal_of(answer.status_code, answer.headers, answer.content)
        raise refused(self.place, call.doing, call.key, said)

    def _session(self) -> requests.Session:
        with self._making:
            if self._made is None:
                self._made = AuthorizedSession(
                    self.account.for_requests(),
                    # without credentials there is nothing to refresh
                    refresh_status_codes=() if self.account.anonymous else (401,),
                )
                for scheme in ("https://", "http://"):
                    self._made.mount(scheme, HTTPAdapter(pool_maxsize=THREADS, max_retries=0))
            return self._made


class _Blocks:
    """A body that is sent block by block.

    A socket's time limit is for each call that sends, and for 8 MiB at once it would cut off whoever
    has a slow line. It can be sent again, as AuthorizedSession does with a new token, and ends early
    when nobody waits for it.
    """

    def __init__(self, body: bytes | memoryview, cancelled: Cancelled) -> None:
        self._body = memoryview(body)
        self._cancelled = cancelled

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[bytes]:
        for offset in range(0, len(self._body), BLOCK_BYTES):
            if self._cancelled():
                raise Interrupted
            yield bytes(self._body[offset : offset + BLOCK_BYTES])


def _origin(endpoint: str) -> str:
    name = "the endpoint of Google Cloud Storage"
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.path.strip("/"):
        raise EndpointWrong(f"{name} has to be http:// or https:// and a host, without a path")
    if parts.username or parts.query:
        raise EndpointWrong(f"{name} can't hold credentials or a query")
    return f"{parts.scheme}://{parts.netloc}"
