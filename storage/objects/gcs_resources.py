"""What Google Cloud Storage's JSON interface says of an object ("Objects" in its reference). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import requests

from storage.errors import EndpointWrong
from storage.objects.store import ObjectEntry, ObjectInfo, StoredObject

Resource = dict[str, Any]

ENTRY_FIELDS = "name,size,timeCreated"
NOT_GOOGLE = "what answers at the endpoint is not Google Cloud Storage"


@contextmanager
def understood() -> Iterator[None]:
    """Around what takes an answer apart: one that can't be taken apart is not Google's."""
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError, SyntaxError):  # that of XML
        raise EndpointWrong(NOT_GOOGLE) from None


def resource_of(answer: requests.Response) -> Resource:
    with understood():
        return {**answer.json()}


def entry_of(resource: Resource) -> ObjectEntry:
    with understood():
        return ObjectEntry(resource["name"], int(resource["size"]), _made_at(resource))


def info_of(resource: Resource) -> ObjectInfo:
    entry = entry_of(resource)
    return ObjectInfo(
        entry.key,
        entry.size,
        entry.modified_at,
        resource.get("contentType", ""),
        metadata=resource.get("metadata", {}),
    )


def stored_of(resource: Resource, sha256: str) -> StoredObject:
    info = info_of(resource)
    return StoredObject(
        info.key, info.size, info.modified_at, info.content_type, sha256, metadata=info.metadata
    )


def _made_at(resource: Resource) -> datetime:
    """When this content was put: `updated` also changes with the metadata."""
    return datetime.fromisoformat(resource["timeCreated"])
