"""From settings to stores. SDKs are imported here, when a provider is really configured."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from recorder.depots import Depots
from recorder.retention import RetentionPolicy, Rule
from recorder.uploads.limits import UploadLimits
from signaling.links import LIFE
from signaling.settings import Settings
from signaling.storage_settings import NEEDED, configured
from storage.objects import LocalStore, ObjectStore, Retrier, Signer
from storage.objects.vercel_address import API_URL


def open_depots(settings: Settings) -> Depots:
    """Every provider that is configured, also those that only older recordings are at.

    Nothing is sent, and nobody is asked. Raises StoreMisconfigured for what can't be right.
    """
    return Depots(
        {
            provider: open_store(settings, provider)
            for provider in NEEDED
            if configured(settings, provider)
        },
        settings.recording_storage_provider,
        settings.recording_fallback_provider,
    )


def open_store(settings: Settings, provider: str, retrier: Retrier | None = None) -> ObjectStore:
    """The store of a configured provider; `retrier` is for one that is far away.

    Raises StoreMisconfigured.
    """
    match provider:
        case "s3":
            return _s3(settings, retrier)
        case "b2":
            return _b2(settings, retrier)
        case "gcs":
            return _gcs(settings, retrier)
        case "vercel-blob":
            return _vercel_blob(settings, retrier)
        case _:
            return LocalStore(settings.recordings_dir)


def _s3(settings: Settings, retrier: Retrier | None) -> ObjectStore:
    from storage.objects.s3 import S3Store  # noqa: PLC0415 - boto3 is large
    from storage.objects.s3_bucket import Bucket  # noqa: PLC0415

    return S3Store(
        Bucket(
            settings.recording_s3_bucket,
            region=settings.recording_s3_region or None,
            access_key_id=settings.recording_s3_access_key_id or None,
            secret_access_key=settings.recording_s3_secret_access_key.get_secret_value() or None,
            endpoint=settings.recording_s3_endpoint or None,
            path_style=settings.recording_s3_force_path_style,
            retrier=retrier,
        )
    )


def _b2(settings: Settings, retrier: Retrier | None) -> ObjectStore:
    from storage.objects.s3 import B2Store  # noqa: PLC0415 - boto3 is large
    from storage.objects.s3_bucket import Bucket  # noqa: PLC0415

    return B2Store(
        Bucket(
            settings.backblaze_b2_bucket_name,
            region=b2_region(settings.backblaze_b2_endpoint),
            access_key_id=settings.backblaze_b2_access_key_id,
            secret_access_key=settings.backblaze_b2_secret_access_key.get_secret_value(),
            endpoint=settings.backblaze_b2_endpoint,
            retrier=retrier,
        )
    )


def b2_region(endpoint: str) -> str | None:
    """`https://s3.us-west-004.backblazeb2.com` is in `us-west-004`."""
    labels = (urlsplit(endpoint).hostname or "").split(".")
    return labels[1] if labels[0] == "s3" and labels[2:] == ["backblazeb2", "com"] else None


def _gcs(settings: Settings, retrier: Retrier | None) -> ObjectStore:
    from storage.objects.gcs import GcsStore  # noqa: PLC0415 - Google's libraries are large

    return GcsStore(
        settings.recording_gcs_bucket,
        project=settings.recording_gcs_project_id or None,
        credentials=settings.recording_gcs_credentials.get_secret_value() or None,
        key_file=settings.recording_gcs_key_filename,
        endpoint=settings.storage_emulator_host or None,
        retrier=retrier,
    )


def _vercel_blob(settings: Settings, retrier: Retrier | None) -> ObjectStore:
    from storage.objects.vercel_blob import VercelBlobStore  # noqa: PLC0415 - as above

    return VercelBlobStore(
        settings.blob_read_write_token.get_secret_value(),
        api_url=settings.vercel_blob_api_url or None,
        retrier=retrier,
    )


def links_last(depots: Depots) -> timedelta:
    """How long a link that was handed out for the fallback may be in use."""
    fallback = depots.stores.get(depots.fallback or "")
    return LIFE if isinstance(fallback, Signer) else timedelta(0)


def upload_limits(settings: Settings) -> UploadLimits:
    return UploadLimits(
        largest=settings.max_video_size_mb << 20,
        formats=settings.allowed_video_formats,
        timeout=timedelta(seconds=settings.upload_session_timeout),
        at_once=settings.max_concurrent_uploads,
        usual_part=settings.chunk_size_mb << 20,
    )


def retention_policy(settings: Settings) -> RetentionPolicy:
    return RetentionPolicy(
        Rule(settings.recording_retention_days, settings.recording_retention_bytes),
        {
            room: Rule(rule.days, rule.bytes)
            for room, rule in settings.recording_retention_rooms.items()
        },
    )


# Where browsers are sent by signed links, as sources of a Content-Security-Policy.
PUBLIC_ORIGINS: Final = {
    "s3": ("https://*.amazonaws.com",),
    "b2": ("https://*.backblazeb2.com",),
    "gcs": ("https://storage.googleapis.com", "https://*.storage.googleapis.com"),
    "vercel-blob": ("https://*.blob.vercel-storage.com",),
}


def media_origins(settings: Settings) -> tuple[str, ...]:
    """The origins that pages of ours may play media from, besides their own."""
    found: list[str] = []
    if settings.cdn_url:
        found.append(_origin(settings.cdn_url))
    if settings.recording_playback == "redirect":
        for provider, origins in PUBLIC_ORIGINS.items():
            if configured(settings, provider):
                found += _endpoint_origins(settings, provider) or origins
    return tuple(dict.fromkeys(found))


def upload_origins(settings: Settings) -> tuple[str, ...]:
    """The origins that pages of ours may send files to, besides their own: the main store's."""
    match settings.recording_storage_provider:
        case "local":
            return ()
        case "vercel-blob":
            return (_origin(settings.vercel_blob_api_url or API_URL),)
        case provider:
            return _endpoint_origins(settings, provider) or PUBLIC_ORIGINS[provider]


def _endpoint_origins(settings: Settings, provider: str) -> tuple[str, ...]:
    endpoint = {
        "s3": settings.recording_s3_endpoint,
        "b2": settings.backblaze_b2_endpoint,
        "gcs": settings.storage_emulator_host,
        "vercel-blob": "",  # its links lead to the true host whatever the API's address
    }[provider]
    if not endpoint:
        return ()
    if provider == "s3" and settings.recording_s3_force_path_style is False:
        parts = urlsplit(endpoint)
        return (f"{parts.scheme}://{settings.recording_s3_bucket}.{parts.netloc}",)
    return (_origin(endpoint),)


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
