"""Where bytes rest: one protocol, and a provider for each kind of place."""

from storage.objects.local import LocalStore
from storage.objects.memory import MemoryStore
from storage.objects.store import Checkable, LocalFiles, ObjectInfo, ObjectStore, StoredObject

__all__ = [
    "Checkable",
    "LocalFiles",
    "LocalStore",
    "MemoryStore",
    "ObjectInfo",
    "ObjectStore",
    "StoredObject",
]
