"""Every kind of store that there is, and the servers behind them: each started at its first use.

A kind is a name: "s3" is a bucket of a real gateway, "s3 through faults" the same with a proxy between
that refuses, fails and cuts a part of the requests. Servers, and stores that outlive an event loop,
last as long as the tests do; a store is empty when a test gets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from storage.objects import (
    LocalStore,
    MemoryStore,
    Multipart,
    ObjectStore,
    Retrier,
    RetryPolicy,
)
from storage.objects.gcs import GcsStore
from storage.objects.s3 import B2Store, S3Objects, S3Store
from storage.objects.s3_bucket import Bucket
from storage.objects.vercel_blob import VercelBlobStore
from tests.rig.ceph import Radosgw, radosgw
from tests.rig.faults import (
    Answer,
    CutAnswer,
    CutRequest,
    Fault,
    FaultProxy,
    LoseAnswer,
    Refuse,
    Request,
    fault_proxy,
    seeded,
)
from tests.rig.gcs import GcsRig, gcs_rig
from tests.rig.vercel import VercelRig, vercel_rig
from tests.storage.virtual_time import VirtualTime

THROUGH_FAULTS = " through faults"
LOCAL = ("memory", "local")
REMOTE = ("s3", "b2", "gcs", "vercel")
STORES = LOCAL + REMOTE
FAULTY = tuple(kind + THROUGH_FAULTS for kind in ("s3", "gcs", "vercel"))
KEEP_METADATA = frozenset(STORES) - {"vercel"}

IMPATIENT = RetryPolicy(attempts=12, first_pause=0.002, longest_pause=0.02)

# One request in five: 15 % are answered with an error, 5 % meet a connection that ends.
MILD = (
    (0.10, Answer(503)),
    (0.05, Answer(500)),
    (0.02, CutAnswer(100)),
    (0.01, CutRequest(1000)),
    (0.01, LoseAnswer()),
    (0.01, Refuse()),
)


def mild_faults(seed: int) -> Callable[[Request], Fault | None]:
    """A beginning of an upload is not repeated when it may have happened; so here it has not."""

    def instead(request: Request) -> Fault | None:
        begins = request.method == "POST" and request.query.startswith("uploads")
        return Answer(503) if begins else None

    return seeded(seed, MILD, instead)


def basic(kind: str) -> str:
    """The kind without what is between."""
    return kind.removesuffix(THROUGH_FAULTS)


@dataclass(slots=True)
class Network:
    """A store, the proxy before it, and the time that its retrier knows."""

    store: ObjectStore
    proxy: FaultProxy
    time: VirtualTime


def multipart_of(store: ObjectStore) -> Multipart | None:
    """The store as what takes uploads in parts, if it does so by itself."""
    return store if isinstance(store, S3Objects | GcsStore | VercelBlobStore) else None


async def unfinished(store: ObjectStore) -> list[str]:
    """The keys of uploads that somebody began and nobody ended."""
    multipart = multipart_of(store)
    return [upload.key async for upload in multipart.unfinished()] if multipart else []


class Servers:
    """The servers, and the stores that last."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._lasting: dict[str, ObjectStore] = {}
        self._proxies: dict[str, FaultProxy] = {}

    @cached_property
    def s3(self) -> Radosgw:
        return self._stack.enter_context(radosgw())

    @cached_property
    def gcs(self) -> GcsRig:
        return self._stack.enter_context(gcs_rig())

    @cached_property
    def vercel(self) -> VercelRig:
        return self._stack.enter_context(vercel_rig())

    @cached_property
    def buckets(self) -> dict[str, str]:
        """By the basic kind."""
        return {"s3": self.s3.new_bucket(), "b2": self.s3.new_bucket(versioned=True)}

    @asynccontextmanager
    async def store(self, kind: str, root: Path, seed: int = 0) -> AsyncIterator[ObjectStore]:
        """An empty store of this kind. `root` is for a local one, `seed` for its faults."""
        if kind in REMOTE + FAULTY:
            async with self._remote_store(kind, seed) as store:
                yield store
        else:
            store = LocalStore(root) if kind == "local" else MemoryStore()
            yield store
            await store.close()

    @asynccontextmanager
    async def _remote_store(self, kind: str, seed: int) -> AsyncIterator[ObjectStore]:
        provider = basic(kind)
        await asyncio.to_thread(self.empty, provider)
        endpoint = self.endpoint(provider)
        if kind in FAULTY:
            proxy = self.proxy(provider)
            proxy.schedule = mild_faults(seed)
            endpoint = proxy.url
        retrier = Retrier(IMPATIENT)
        if provider == "vercel":  # its connections belong to an event loop
            store = self.connect(provider, endpoint, retrier)
            yield store
            await store.close()
            return
        if kind not in self._lasting:
            lasting = self._lasting[kind] = self.connect(provider, endpoint, retrier)
            self._stack.callback(lambda: asyncio.run(lasting.close()))
        yield self._lasting[kind]

    # --- providers --------------------------------------------------------------------------------

    def endpoint(self, provider: str) -> str:
        match provider:
            case "gcs":
                return self.gcs.endpoint
            case "vercel":
                return self.vercel.api_url
            case _:
                return self.s3.endpoint

    def proxy(self, provider: str) -> FaultProxy:
        """The one before this provider's server; without faults, rules and memory of requests."""
        upstream = self.endpoint(provider)
        if upstream not in self._proxies:
            self._proxies[upstream] = self._stack.enter_context(fault_proxy(upstream))
        proxy = self._proxies[upstream]
        proxy.forget()
        return proxy

    def faults_met(self, provider: str) -> int:
        """How many requests met a fault since the proxy was last asked for."""
        proxy = self._proxies[self.endpoint(provider)]
        return sum(request.fault is not None for request in list(proxy.requests))

    def empty(self, provider: str) -> None:
        match provider:
            case "gcs":
                self.gcs.wipe()
            case "vercel":
                self.vercel.empty()
            case _:
                self.s3.empty(self.buckets[provider])

    def connect(self, provider: str, endpoint: str, retrier: Retrier) -> ObjectStore:
        """A new store of what is in this provider's bucket."""
        match provider:
            case "gcs":
                return GcsStore(
                    self.gcs.bucket,
                    credentials=self.gcs.credentials_json,
                    endpoint=endpoint,
                    retrier=retrier,
                )
            case "vercel":
                return VercelBlobStore(self.vercel.token, api_url=endpoint, retrier=retrier)
            case _:
                manners = B2Store if provider == "b2" else S3Store
                return manners(
                    Bucket(
                        self.buckets[provider],
                        access_key_id=self.s3.access_key_id,
                        secret_access_key=self.s3.secret_access_key,
                        endpoint=endpoint,
                        retrier=retrier,
                    )
                )
