"""The settings of storage: what each provider needs, and how a wrong one is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from signaling.errors import SettingsError
from signaling.settings import Settings, environment_name, load_settings
from signaling.storage_settings import NEEDED, PRICES, Price, configured

S3 = {"RECORDING_STORAGE_PROVIDER": "s3", "RECORDING_S3_BUCKET": "b"}
NEEDS: Mapping[str, Mapping[str, str]] = {
    "local": {},
    "s3": {"RECORDING_S3_BUCKET": "b"},
    "b2": {
        "BACKBLAZE_B2_BUCKET_NAME": "b",
        "BACKBLAZE_B2_ENDPOINT": "s3.us-west-004.backblazeb2.com",
        "BACKBLAZE_B2_ACCESS_KEY_ID": "key",
        "BACKBLAZE_B2_SECRET_ACCESS_KEY": "secret",
    },
    "gcs": {"RECORDING_GCS_BUCKET": "b"},
    "vercel-blob": {"BLOB_READ_WRITE_TOKEN": "vercel_blob_rw_store_secret"},
}
FAR = [provider for provider in NEEDS if provider != "local"]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(environment_name(field), raising=False)


def load(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings(env_file=None)


def refusal(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as refused:
        load(monkeypatch, environment)
    return refused.value.message


# --- providers ----------------------------------------------------------------------------------------


def test_the_table_of_needs_is_that_of_the_contract() -> None:
    assert {provider: {name for name, _ in needed} for provider, needed in NEEDED.items()} == {
        provider: set(needed) for provider, needed in NEEDS.items()
    }


@pytest.mark.parametrize("provider", NEEDS)
def test_a_provider_with_all_it_needs(monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    settings = load(monkeypatch, {"RECORDING_STORAGE_PROVIDER": provider, **NEEDS[provider]})
    assert settings.recording_storage_provider == provider
    assert {each for each in NEEDED if configured(settings, each)} == {"local", provider}


@pytest.mark.parametrize("role", ["RECORDING_STORAGE_PROVIDER", "RECORDING_FALLBACK_PROVIDER"])
@pytest.mark.parametrize(
    ("provider", "missing"), [(provider, name) for provider in FAR for name in NEEDS[provider]]
)
def test_what_a_provider_lacks_is_named(
    monkeypatch: pytest.MonkeyPatch, role: str, provider: str, missing: str
) -> None:
    given = {name: value for name, value in NEEDS[provider].items() if name != missing}
    message = refusal(monkeypatch, {role: provider, **given})
    flag = "--" + missing.lower().replace("_", "-")
    assert message.startswith(f"{missing} ({flag}): the provider `{provider}` needs it; ")
    assert f'for example {missing}="' in message


@pytest.mark.parametrize("provider", FAR)
def test_a_provider_that_is_not_in_use_may_lack_anything(
    monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    first = dict([next(iter(NEEDS[provider].items()))])
    settings = load(monkeypatch, first)
    assert configured(settings, provider) is (len(NEEDS[provider]) == 1)


@pytest.mark.parametrize(("main", "other"), [("local", "s3"), ("s3", "local")])
def test_a_fallback_that_is_the_main_provider(
    monkeypatch: pytest.MonkeyPatch, main: str, other: str
) -> None:
    message = refusal(
        monkeypatch,
        {**NEEDS["s3"], "RECORDING_STORAGE_PROVIDER": main, "RECORDING_FALLBACK_PROVIDER": main},
    )
    assert message.startswith("RECORDING_FALLBACK_PROVIDER (--recording-fallback-provider): ")
    assert message.endswith(f'for example RECORDING_FALLBACK_PROVIDER="{other}"')


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("RECORDING_S3_ACCESS_KEY_ID", "RECORDING_S3_SECRET_ACCESS_KEY"),
        ("RECORDING_S3_SECRET_ACCESS_KEY", "RECORDING_S3_ACCESS_KEY_ID"),
    ],
)
def test_half_a_pair_of_keys(monkeypatch: pytest.MonkeyPatch, given: str, missing: str) -> None:
    message = refusal(monkeypatch, {**S3, given: "hunter2"})
    assert message.startswith(f"{missing} (--")
    assert f"{given} needs it" in message
    assert "hunter2" not in message


# --- single settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RECORDING_STORAGE_PROVIDER", "floppy", ["floppy", "vercel-blob"]),
        ("RECORDING_FALLBACK_PROVIDER", "floppy", ["floppy", "vercel-blob"]),
        ("RECORDING_S3_ENDPOINT", "ftp://minio", ["https://host"]),
        ("RECORDING_S3_FORCE_PATH_STYLE", "maybe", ["maybe"]),
        ("BACKBLAZE_B2_ENDPOINT", "https://", ["https://host"]),
        ("STORAGE_EMULATOR_HOST", "a b", ["https://host"]),
        ("VERCEL_BLOB_API_URL", "https://host?a=b", ["https://host"]),
        ("CDN_URL", "https://host/#part", ["https://host"]),
        ("CDN_SIGNING", "akamai", ["akamai", "cloudflare"]),
        ("RECORDING_PLAYBACK", "stream", ["stream", "proxy"]),
        ("RECORDING_RETENTION_DAYS", "0", ["greater than 0", "`0`"]),
        ("RECORDING_RETENTION_DAYS", "-1", ["greater than 0"]),
        ("RECORDING_RETENTION_DAYS", "nan", ["nan"]),
        ("RECORDING_RETENTION_DAYS", "a week", ["a week"]),
        ("RECORDING_RETENTION_BYTES", "-1", ["500GB"]),
        ("RECORDING_RETENTION_BYTES", "5 GiB", ["500GB"]),
        ("RECORDING_RETENTION_BYTES", "much", ["500GB"]),
        ("RECORDING_RETENTION_BYTES", "500", ["1000000", "`500`"]),  # meant were gigabytes
        ("RECORDING_RETENTION_BYTES", "999999", ["1000000"]),
        ("RECORDING_RETENTION_ROOMS", "standup=7", ["JSON"]),
        ("RECORDING_RETENTION_ROOMS", '["standup"]', ["object"]),
        ("RECORDING_RETENTION_ROOMS", '{"standup": {"day": 7}}', ["standup.day"]),
        ("RECORDING_RETENTION_ROOMS", '{"standup": {"days": 0}}', ["standup.days", "0"]),
        ("RECORDING_RETENTION_ROOMS", '{"standup": {"bytes": 500}}', ["standup.bytes"]),
        ("STORAGE_PRICES", '{"floppy": {"storage": 1}}', ["floppy"]),
        ("STORAGE_PRICES", '{"s3": {"storage": -1}}', ["s3.storage"]),
        ("MEDIASERVER_DISK_LOW_MB", "-1", ["0", "`-1`"]),
        ("MEDIASERVER_DISK_LOW_MB", "half", ["half"]),
    ],
)
def test_a_wrong_one_is_named_with_an_example(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: list[str]
) -> None:
    message = refusal(monkeypatch, {name: value})
    assert message.startswith(f"{name} (--")
    assert f"for example {name}=" in message
    assert "\n" not in message
    assert not [word for word in words if word not in message], message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RECORDING_GCS_CREDENTIALS", "hunter2"),
        ("RECORDING_GCS_CREDENTIALS", '["hunter2"]'),
        ("RECORDING_S3_ENDPOINT", "https://me:hunter2@minio"),
        ("CDN_URL", "https://me:hunter2@cdn?a"),
        ("CDN_URL", "https://cdn?token=hunter2"),
    ],
)
def test_attack_secrets_in_refusals(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    assert "hunter2" not in refusal(monkeypatch, {name: value})


def test_secrets_are_not_in_the_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        **NEEDS["b2"],
        "RECORDING_S3_ACCESS_KEY_ID": "key",
        "CDN_URL": "https://cdn",
        "CDN_SIGNING": "bunny",
        "RECORDING_GCS_CREDENTIALS": '{"private_key": "hunter2"}',
    }
    for name in (
        "RECORDING_S3_SECRET_ACCESS_KEY",
        "BACKBLAZE_B2_SECRET_ACCESS_KEY",
        "BLOB_READ_WRITE_TOKEN",
        "CDN_SIGNING_KEY",
    ):
        secrets[name] = "hunter2"
    settings = load(monkeypatch, secrets)
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())


# --- what is understood -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000000", 1_000_000),
        ("500000000", 500_000_000),
        ("500GB", 500 * 10**9),
        ("500 gb", 500 * 10**9),
        ("1.5T", 1_500 * 10**9),
        ("2000k", 2_000_000),
        ("7m", 7_000_000),
        ("1000000B", 1_000_000),
    ],
)
def test_sizes(monkeypatch: pytest.MonkeyPatch, text: str, size: int) -> None:
    settings = load(monkeypatch, {"RECORDING_RETENTION_BYTES": text})
    assert settings.recording_retention_bytes == size


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://media.example.com/", "https://media.example.com"),
        ("media.example.com", "https://media.example.com"),
        (" https://media.example.com ", "https://media.example.com"),
        ("http://10.0.0.1:9000/path/", "http://10.0.0.1:9000/path"),
        ("https://[::1]:9000", "https://[::1]:9000"),
        ("https://minio_1:9000", "https://minio_1:9000"),
        ("", ""),
    ],
)
def test_addresses(monkeypatch: pytest.MonkeyPatch, text: str, address: str) -> None:
    assert load(monkeypatch, {"CDN_URL": text}).cdn_url == address


@pytest.mark.parametrize(
    "address",
    [
        "https://media.example.com; script-src *",
        "https://media.example.com script-src *",
        "https://media.example.com/a; script-src *",
        "https://media.example.com\r\nSet-Cookie: a=b",
        "https://media.example.com,evil.example",
        "https://media.example.com:port",
        "https://:80",
        "https://bücher.example",
        "javascript:alert(1)",
    ],
)
def test_attack_an_address_that_is_more_than_one(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """It gets into the Content-Security-Policy, and into links."""
    assert refusal(monkeypatch, {"CDN_URL": address}).startswith("CDN_URL (--cdn-url)")


def test_an_emulator_is_reached_without_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, {"STORAGE_EMULATOR_HOST": "127.0.0.1:9023"})
    assert settings.storage_emulator_host == "http://127.0.0.1:9023"


@pytest.mark.parametrize(("text", "value"), [("true", True), ("0", False), ("", None)])
def test_path_style_is_yes_no_or_as_it_fits(
    monkeypatch: pytest.MonkeyPatch, text: str, value: bool | None
) -> None:
    settings = load(monkeypatch, {"RECORDING_S3_FORCE_PATH_STYLE": text})
    assert settings.recording_s3_force_path_style is value


def test_rules_of_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    text = '{"stand up": {"days": 0.5}, "lectures": {"bytes": 100000000000}, "ü": {}}'
    rooms = load(monkeypatch, {"RECORDING_RETENTION_ROOMS": text}).recording_retention_rooms
    assert {room: (rule.days, rule.bytes) for room, rule in rooms.items()} == {
        "stand up": (0.5, None),
        "lectures": (None, 10**11),
        "ü": (None, None),
    }


def test_any_number_of_days(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, {"RECORDING_RETENTION_DAYS": "inf"})
    assert settings.recording_retention_days == math.inf


def test_prices_stand_in_for_those_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, {}).prices == PRICES
    assert set(PRICES) == set(NEEDED)
    settings = load(monkeypatch, {"STORAGE_PRICES": '{"s3": {"egress": 0.01}}'})
    assert settings.prices == {**PRICES, "s3": Price(storage=0.0, egress=0.01)}


# --- the CDN ------------------------------------------------------------------------------------------

SIGNED = {"CDN_URL": "https://cdn", "CDN_SIGNING": "bunny", "CDN_SIGNING_KEY": "hunter2"}


def test_a_signing_cdn_with_all_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, SIGNED).cdn_signing == "bunny"


@pytest.mark.parametrize("missing", ["CDN_URL", "CDN_SIGNING_KEY"])
def test_what_a_signing_cdn_lacks_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    given = {name: value for name, value in SIGNED.items() if name != missing}
    message = refusal(monkeypatch, given)
    assert message.startswith(f"{missing} (--")
    assert 'CDN_SIGNING="bunny" needs it' in message
    assert "hunter2" not in message


def test_attack_links_that_nobody_signs_although_there_is_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {name: value for name, value in SIGNED.items() if name != "CDN_SIGNING"}
    message = refusal(monkeypatch, given)
    assert message.startswith("CDN_SIGNING (--cdn-signing): ")
    assert "hunter2" not in message
