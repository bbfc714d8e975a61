"""Where bytes rest: one protocol, and a provider for each kind of place.

Stores whose SDK has to be imported are made by `signaling.stores`, which imports it then.
"""

from storage.objects.local import LocalStore
from storage.objects.memory import MemoryStore
from storage.objects.retry import Retrier, RetryPolicy
from storage.objects.signing import (
    FormSigner,
    Multipart,
    Part,
    PartLister,
    SignedForm,
    SignedRequest,
    Signer,
    UnfinishedUpload,
)
from storage.objects.store import (
    Checkable,
    LocalFiles,
    ObjectEntry,
    ObjectInfo,
    ObjectStore,
    OnProgress,
    StoredObject,
)

__all__ = [
    "Checkable",
    "FormSigner",
    "LocalFiles",
    "LocalStore",
    "MemoryStore",
    "Multipart",
    "ObjectEntry",
    "ObjectInfo",
    "ObjectStore",
    "OnProgress",
    "Part",
    "PartLister",
    "Retrier",
    "RetryPolicy",
    "SignedForm",
    "SignedRequest",
    "Signer",
    "StoredObject",
    "UnfinishedUpload",
]
