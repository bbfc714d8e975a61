"""Permissions in the form of a request: whoever holds one may send that one request until it expires.

A browser then talks to the bucket itself. What is signed is bound to the method, the key and the
time, and to the content type and size where the provider can hold a client to them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from storage.objects.store import ObjectInfo


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """`headers` have to be sent exactly so."""

    method: str
    url: str
    expires_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignedForm:
    """A multipart/form-data POST: every one of `fields` first and a field `file` last."""

    url: str
    fields: Mapping[str, str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """A part that the store has: `number` counts from 1, `etag` is what the store called it."""

    number: int
    etag: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class UnfinishedUpload:
    """A multipart upload that was begun and neither completed nor aborted."""

    key: str
    upload_id: str
    begun_at: datetime


@runtime_checkable
class Signer(Protocol):
    """An optional ability of a store. All methods raise BadKey, StoreUnavailable."""

    async def sign_get(
        self,
        key: str,
        life: timedelta,
        *,
        file_name: str | None = None,
        content_type: str | None = None,
        download: bool = False,
    ) -> SignedRequest:
        """To read an object, in ranges too. `file_name` is what a browser saves it as, `download`
        has it saved rather than shown. Says nothing about whether the object exists."""
        ...

    async def sign_put(
        self, key: str, life: timedelta, content_type: str, size: int | None = None
    ) -> SignedRequest:
        """To put an object of this type, and of exactly `size` bytes where the store can tell."""
        ...


@runtime_checkable
class FormSigner(Protocol):
    """An optional ability: uploads from an HTML form, with conditions that the store enforces."""

    async def sign_post(
        self, key: str, life: timedelta, content_type: str, *, largest: int, smallest: int = 0
    ) -> SignedForm:
        """To put an object of `smallest` to `largest` bytes. Raises BadKey, StoreUnavailable."""
        ...


@runtime_checkable
class Multipart(Protocol):
    """An optional ability: an object in up to 10,000 parts of 5 MiB or more (the last may be less).

    Parts may be sent in any order, together, and again; the object appears at `complete`. All
    methods raise BadKey, StoreUnavailable and, for an upload that is over, UploadGone.
    """

    async def begin(
        self, key: str, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> str:
        """The id of a new upload."""
        ...

    async def sign_part(
        self, key: str, upload_id: str, number: int, life: timedelta, size: int | None = None
    ) -> SignedRequest:
        """To send one part, of exactly `size` bytes where the store can tell; its ETag is in the
        answer's header of that name."""
        ...

    async def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> ObjectInfo:
        """Make the object of these parts, in the order of their numbers. Again, it is the same.

        Raises BadParts when they make none.
        """
        ...

    async def abort(self, key: str, upload_id: str) -> None:
        """Forget the upload and its parts; nothing happens when it is over already."""
        ...

    def unfinished(self, prefix: str = "") -> AsyncIterator[UnfinishedUpload]:
        """Uploads under way or left behind. Not known to every provider: then there are none."""
        ...


@runtime_checkable
class PartLister(Protocol):
    """An optional ability of a `Multipart`: to say which parts of an upload it has."""

    async def parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        """In the order of their numbers, each as it was sent last, with its size and ETag.

        Raises BadKey, StoreUnavailable, UploadGone.
        """
        ...
