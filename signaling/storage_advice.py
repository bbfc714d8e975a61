"""What an operator may change when a store refuses: which setting, or which right of the account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from signaling.storage_settings import StorageSettings, given
from storage.errors import (
    BucketMissing,
    ClockSkewed,
    CredentialsExpired,
    CredentialsRefused,
    EndpointWrong,
    PermissionMissing,
    StorageError,
    StoreFull,
    StoreUnavailable,
    WrongRegion,
)
from storage.objects.checkup import Step

CREDENTIALS: Final[Mapping[str, tuple[str, ...]]] = {
    "s3": ("RECORDING_S3_ACCESS_KEY_ID", "RECORDING_S3_SECRET_ACCESS_KEY"),
    "b2": ("BACKBLAZE_B2_ACCESS_KEY_ID", "BACKBLAZE_B2_SECRET_ACCESS_KEY"),
    "gcs": ("RECORDING_GCS_KEY_FILENAME", "RECORDING_GCS_CREDENTIALS"),
    "vercel-blob": ("BLOB_READ_WRITE_TOKEN",),
}
BUCKET: Final[Mapping[str, str]] = {
    "s3": "RECORDING_S3_BUCKET",
    "b2": "BACKBLAZE_B2_BUCKET_NAME",
    "gcs": "RECORDING_GCS_BUCKET",
    "vercel-blob": "BLOB_READ_WRITE_TOKEN",
}
ENDPOINT: Final[Mapping[str, str]] = {
    "s3": "RECORDING_S3_ENDPOINT",
    "b2": "BACKBLAZE_B2_ENDPOINT",
    "gcs": "STORAGE_EMULATOR_HOST",
    "vercel-blob": "VERCEL_BLOB_API_URL",
}
REGION: Final[Mapping[str, str]] = {
    "s3": "RECORDING_S3_REGION",
    "b2": "BACKBLAZE_B2_ENDPOINT",  # it names the region
    "gcs": "RECORDING_GCS_BUCKET",
    "vercel-blob": "BLOB_READ_WRITE_TOKEN",
}

# What a step needs, in the words of S3 policies, of Backblaze's application keys, and of Google's IAM.
RIGHTS: Final[Mapping[Step, Mapping[str, str]]] = {
    Step.WRITE: {
        "s3": "s3:PutObject and s3:GetObject",
        "b2": "writeFiles and readFiles",
        "gcs": "storage.objects.create and storage.objects.get",
    },
    Step.READ: {"s3": "s3:GetObject", "b2": "readFiles", "gcs": "storage.objects.get"},
    Step.RANGE: {"s3": "s3:GetObject", "b2": "readFiles", "gcs": "storage.objects.get"},
    Step.LIST: {"s3": "s3:ListBucket", "b2": "listFiles", "gcs": "storage.objects.list"},
    Step.COPY: {
        "s3": "s3:GetObject and s3:PutObject",
        "b2": "readFiles and writeFiles",
        "gcs": "storage.objects.get and storage.objects.create",
    },
    Step.PARTS: {
        "s3": "s3:PutObject and s3:AbortMultipartUpload",
        "b2": "writeFiles",
        "gcs": "storage.multipartUploads.create and storage.multipartUploads.abort",
    },
    Step.LINK: {"s3": "s3:GetObject", "b2": "readFiles", "gcs": "storage.objects.get"},
    Step.DELETE: {
        "s3": "s3:DeleteObject",
        "b2": "listFiles and deleteFiles",
        "gcs": "storage.objects.delete",
    },
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A step with a provider of the settings that failed."""

    settings: StorageSettings
    provider: str
    step: Step
    problem: StorageError


def advice(refusal: Refusal) -> str:
    """What to do about it, in a few words that name settings; "" when there is nothing to say."""
    if refusal.provider == "local":
        what = "make room there or set" if isinstance(refusal.problem, StoreFull) else "set"
        return f"{what} RECORDING_OUTPUT_DIR to a folder that can be written"
    return next((say(refusal) for kind, say in TO_DO if isinstance(refusal.problem, kind)), "")


def _credentials(refusal: Refusal) -> str:
    names = CREDENTIALS[refusal.provider]
    if refusal.provider == "gcs":  # one of them counts
        used = [name for name in names if given(refusal.settings, name)]
        return " or ".join(used or names)
    return " and ".join(names)


def _allow(refusal: Refusal) -> str:
    account = _credentials(refusal)
    rights = RIGHTS.get(refusal.step, {}).get(refusal.provider)
    return f"allow {rights} to the account of {account}" if rights else f"check {account}"


def _reach(refusal: Refusal) -> str:
    if refusal.step == Step.LINK:
        return (
            "browsers have to reach that address too;"
            ' if they can\'t, set RECORDING_PLAYBACK="proxy"'
        )
    problem, name = refusal.problem, ENDPOINT[refusal.provider]
    place = f"check {name}" if given(refusal.settings, name) else "see whether the network is there"
    if isinstance(problem, EndpointWrong):
        return place
    passing = isinstance(problem, StoreUnavailable) and problem.passing
    return f"{place}, or try again when the store is up" if passing else ""


# The first class that fits decides, so the particular stands before the general.
TO_DO: Final[tuple[tuple[type[StorageError], Callable[[Refusal], str]], ...]] = (
    (CredentialsExpired, lambda refusal: f"put new ones into {_credentials(refusal)}"),
    (CredentialsRefused, lambda refusal: f"check {_credentials(refusal)}"),
    (PermissionMissing, _allow),
    (BucketMissing, lambda refusal: f"check {BUCKET[refusal.provider]}"),
    (WrongRegion, lambda refusal: f"set {REGION[refusal.provider]}"),
    (ClockSkewed, lambda _: ""),  # the error says it
    (StoreFull, lambda _: "make room there or raise the quota"),
    (StoreUnavailable, _reach),
)
