"""From settings to stores: which are opened, what is imported for it, where browsers may be sent."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from recorder.retention import RetentionPolicy, Rule
from signaling.settings import Settings, load_settings
from signaling.stores import (
    b2_region,
    media_origins,
    open_depots,
    open_store,
    retention_policy,
    upload_origins,
)
from storage.errors import StoreMisconfigured
from storage.objects import FormSigner, LocalFiles, LocalStore, Multipart, Signer

S3 = {"recording_s3_bucket": "bucket"}
B2 = {
    "backblaze_b2_bucket_name": "bucket",
    "backblaze_b2_endpoint": "https://s3.us-west-004.backblazeb2.com",
    "backblaze_b2_access_key_id": "key",
    "backblaze_b2_secret_access_key": "secret",
}
GCS = {"recording_gcs_bucket": "bucket", "storage_emulator_host": "http://127.0.0.1:9"}
VERCEL = {"blob_read_write_token": "vercel_blob_rw_store1234_secret"}
MAIN_S3 = {"recording_storage_provider": "s3"}
CDN = {"cdn_url": "https://media.example.com/v1"}

LIFE = timedelta(hours=2)

SDKS = {
    "boto3",
    "botocore",
    "google.cloud.storage",
    "google.auth",
    "vercel",
    "vercel.blob",
    "httpx",
}
WHICH_SDKS = """
import json, sys
from signaling.settings import load_settings
from signaling.stores import open_depots
open_depots(load_settings(json.loads(sys.argv[1]), env_file=None))
import signaling.app
print(json.dumps(sorted(set(json.loads(sys.argv[2])) & set(sys.modules))))
"""


def settings(tmp_path: Path, **flags: str) -> Settings:
    return load_settings({"data_dir": str(tmp_path), **flags}, env_file=None)


# --- which are opened ---------------------------------------------------------------------------------


async def test_the_local_store_is_always_there(tmp_path: Path) -> None:
    depots = open_depots(settings(tmp_path))
    assert (list(depots.stores), depots.main, depots.fallback) == (["local"], "local", None)
    local = depots.stores["local"]
    assert isinstance(local, LocalStore)
    assert local.root == tmp_path / "recordings"
    await depots.close()


async def test_every_configured_provider_is_opened(tmp_path: Path) -> None:
    """Also those that are only read from; nobody is asked."""
    depots = open_depots(
        settings(
            tmp_path,
            recording_storage_provider="b2",
            recording_fallback_provider="s3",
            **S3,
            **B2,
            **GCS,
            **VERCEL,
        )
    )
    assert set(depots.stores) == {"local", "s3", "b2", "gcs", "vercel-blob"}
    assert depots.targets == ("b2", "s3")
    able = {
        provider: {
            ability.__name__
            for ability in (Signer, FormSigner, Multipart, LocalFiles)
            if isinstance(store, ability)
        }
        for provider, store in depots.stores.items()
    }
    assert able == {
        "local": {"LocalFiles"},
        "s3": {"Signer", "FormSigner", "Multipart"},
        "b2": {"Signer", "Multipart"},
        "gcs": {"Signer", "FormSigner", "Multipart"},
        "vercel-blob": {"Signer", "Multipart"},
    }
    await depots.close()


async def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    store = open_store(settings(tmp_path, recording_output_dir=str(folder)), "local")
    assert isinstance(store, LocalStore)
    assert store.root == folder
    await store.close()


@pytest.mark.parametrize(
    "flags",
    [
        {"blob_read_write_token": "no such token"},
        {"recording_gcs_bucket": "bucket", "recording_gcs_credentials": "{}"},
        {"recording_gcs_bucket": "bucket", "recording_gcs_key_filename": "/no/such/file"},
    ],
    ids=lambda flags: list(flags)[-1],
)
def test_what_can_not_be_right_is_refused_at_once(tmp_path: Path, flags: dict[str, str]) -> None:
    with pytest.raises(StoreMisconfigured):
        open_depots(settings(tmp_path, **flags))


# --- what is imported ---------------------------------------------------------------------------------


def imported(tmp_path: Path, **flags: str) -> set[str]:
    """The SDKs that a server with these settings has imported when it has started."""
    given = json.dumps({"data_dir": str(tmp_path), **flags})
    ran = subprocess.run(
        [sys.executable, "-c", WHICH_SDKS, given, json.dumps(sorted(SDKS))],
        capture_output=True,
        check=True,
        text=True,
    )
    return set(json.loads(ran.stdout))


def test_for_the_local_store_no_sdk_is_imported(tmp_path: Path) -> None:
    assert imported(tmp_path) == set()


@pytest.mark.parametrize(
    ("flags", "its_own", "others"),
    [
        (GCS, "google.cloud.storage", {"boto3", "vercel.blob"}),
        (VERCEL, "vercel.blob", {"boto3", "google.cloud.storage"}),
    ],
    ids=["gcs", "vercel-blob"],
)
def test_for_another_only_its_own(
    tmp_path: Path, flags: dict[str, str], its_own: str, others: set[str]
) -> None:
    found = imported(tmp_path, **flags)
    assert its_own in found
    assert not others & found


# --- where browsers may be sent -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://s3.us-west-004.backblazeb2.com", "us-west-004"),
        ("https://s3.eu-central-003.backblazeb2.com:443", "eu-central-003"),
        ("http://127.0.0.1:9000", None),
        ("https://s3.example.com", None),
        ("https://files.us-west-004.backblazeb2.com", None),
        ("https://s3.us-west-004.backblazeb2.com.evil.example", None),
        ("", None),
    ],
)
def test_the_region_is_in_the_endpoint(endpoint: str, region: str | None) -> None:
    assert b2_region(endpoint) == region


@pytest.mark.parametrize(
    ("flags", "origins"),
    [
        ({}, ()),
        (CDN, ("https://media.example.com",)),
        ({"cdn_url": "https://media.example.com:8443"}, ("https://media.example.com:8443",)),
        (S3, ("https://*.amazonaws.com",)),
        (
            {**S3, "recording_s3_endpoint": "https://minio.example.com:9000"},
            ("https://minio.example.com:9000",),
        ),
        (
            {
                **S3,
                "recording_s3_endpoint": "https://s3.example.com",
                "recording_s3_force_path_style": "false",
            },
            ("https://bucket.s3.example.com",),
        ),
        (B2, ("https://s3.us-west-004.backblazeb2.com",)),
        ({"recording_gcs_bucket": "bucket"},
         ("https://storage.googleapis.com", "https://*.storage.googleapis.com")),
        (GCS, ("http://127.0.0.1:9",)),
        (VERCEL, ("https://*.blob.vercel-storage.com",)),
        (
            {**VERCEL, "vercel_blob_api_url": "http://127.0.0.1:9"},
            ("https://*.blob.vercel-storage.com",),
        ),
        ({**CDN, **S3, **B2},
         (
             "https://media.example.com",
             "https://*.amazonaws.com",
             "https://s3.us-west-004.backblazeb2.com",
         )),
        ({**S3, "cdn_url": "https://cdn", "recording_s3_endpoint": "https://cdn"}, ("https://cdn",)),
        ({**S3, "recording_playback": "proxy"}, ()),
        ({**S3, **CDN, "recording_playback": "proxy"}, ("https://media.example.com",)),
    ],
)  # fmt: skip
def test_media_origins(tmp_path: Path, flags: dict[str, str], origins: tuple[str, ...]) -> None:
    assert media_origins(settings(tmp_path, **flags)) == origins


@pytest.mark.parametrize(
    ("flags", "origins"),
    [
        ({}, ()),
        (B2, ()),  # configured, but not where new files go
        ({**S3, **MAIN_S3}, ("https://*.amazonaws.com",)),
        ({**S3, **MAIN_S3, "recording_playback": "proxy"}, ("https://*.amazonaws.com",)),
        ({**GCS, "recording_storage_provider": "gcs"}, ("http://127.0.0.1:9",)),
        ({**VERCEL, "recording_storage_provider": "vercel-blob"}, ("https://vercel.com",)),
        (
            {
                **VERCEL,
                "recording_storage_provider": "vercel-blob",
                "vercel_blob_api_url": "http://127.0.0.1:9/api",
            },
            ("http://127.0.0.1:9",),
        ),
    ],
)
def test_upload_origins(tmp_path: Path, flags: dict[str, str], origins: tuple[str, ...]) -> None:
    assert upload_origins(settings(tmp_path, **flags)) == origins


@pytest.mark.parametrize(
    "flags",
    [
        S3,
        {**S3, "recording_s3_endpoint": "https://minio.example.com:9000"},
        {
            **S3,
            "recording_s3_endpoint": "https://s3.example.com",
            "recording_s3_force_path_style": "false",
        },
        {**S3, "recording_s3_force_path_style": "true"},
        {**S3, "recording_s3_region": "eu-central-1"},
        {"recording_s3_bucket": "bucket.with.dots"},
    ],
)
async def test_signed_links_lead_to_where_media_may_come_from(
    tmp_path: Path, flags: dict[str, str]
) -> None:
    keys = {"recording_s3_access_key_id": "key", "recording_s3_secret_access_key": "secret"}
    given = settings(tmp_path, **flags, **keys)
    store = open_store(given, "s3")
    assert isinstance(store, Signer)
    link = (await store.sign_get("key", LIFE)).url
    (origin,) = media_origins(given)
    assert fits(origin, link), link
    assert isinstance(store, FormSigner)
    form = (await store.sign_post("key", LIFE, "video/mp4", largest=1)).url
    (to,) = upload_origins(settings(tmp_path, **flags, **keys, **MAIN_S3))
    assert fits(to, form), form
    await store.close()


def fits(source: str, link: str) -> bool:
    """A source with a wildcard stands for any host below (CSP, 6.7.2.8)."""
    scheme, _, host = source.partition("://")
    there = urlsplit(link)
    if host.startswith("*."):
        return there.scheme == scheme and there.netloc.endswith(host[1:])
    return (there.scheme, there.netloc) == (scheme, host)


# --- retention ----------------------------------------------------------------------------------------


def test_retention_as_the_settings_say(tmp_path: Path) -> None:
    given = settings(
        tmp_path,
        recording_retention_days="90",
        recording_retention_bytes="5GB",
        recording_retention_rooms='{"a": {"days": 7}, "b": {"bytes": 1000000}}',
    )
    assert retention_policy(given) == RetentionPolicy(
        Rule(90.0, 5 * 10**9), {"a": Rule(days=7.0), "b": Rule(bytes=1_000_000)}
    )
    assert retention_policy(settings(tmp_path)).limits_nothing
