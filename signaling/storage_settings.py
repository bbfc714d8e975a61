"""The settings of where recordings rest: providers, links to them, retention, prices."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode

from signaling.errors import SettingsError

Provider = Literal["local", "s3", "b2", "gcs", "vercel-blob"]

SECRET: Final[dict[str, JsonValue]] = {"secret": True}
UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
GIGABYTE: Final = 10**9
SMALLEST_LIMIT: Final = 10**6  # bytes; who writes 500 means another unit, and would lose everything

# What each provider can't do without: setting, example.
NEEDED: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "local": (),
    "s3": (("RECORDING_S3_BUCKET", "my-recordings"),),
    "b2": (
        ("BACKBLAZE_B2_BUCKET_NAME", "my-recordings"),
        ("BACKBLAZE_B2_ENDPOINT", "https://s3.us-west-004.backblazeb2.com"),
        ("BACKBLAZE_B2_ACCESS_KEY_ID", "0045f0571db506a0000000001"),
        ("BACKBLAZE_B2_SECRET_ACCESS_KEY", "<application key>"),
    ),
    "gcs": (("RECORDING_GCS_BUCKET", "my-recordings"),),
    "vercel-blob": (("BLOB_READ_WRITE_TOKEN", "vercel_blob_rw_<store>_<secret>"),),
}


class RoomRule(BaseModel):
    """What `RECORDING_RETENTION_ROOMS` says of one room."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: float | None = Field(default=None, gt=0)
    bytes: int | None = Field(default=None, ge=SMALLEST_LIMIT)


class Price(BaseModel):
    """US dollars for a gigabyte (10^9 bytes): stored for a month, and sent out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    storage: float = Field(default=0.0, ge=0)
    egress: float = Field(default=0.0, ge=0)


# List prices of 2026 in the providers' cheapest regions; a server's own disk is already paid for.
PRICES: Final[Mapping[str, Price]] = {
    "local": Price(),
    "s3": Price(storage=0.023, egress=0.09),
    "b2": Price(storage=0.006, egress=0.01),
    "gcs": Price(storage=0.020, egress=0.12),
    "vercel-blob": Price(storage=0.023, egress=0.05),
}

_HOST: Final = re.compile(r"(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d{1,5})?", re.ASCII)
_PLAIN: Final = re.compile(r"[\w.~:/%\[\]+-]+", re.ASCII)
_ROOMS: Final = TypeAdapter(dict[str, RoomRule])
_PRICES: Final = TypeAdapter(dict[Provider, Price])


def _folder(value: object) -> object:
    return Path(value).expanduser() if isinstance(value, str) else value


def _web_address(value: object) -> object:
    if not isinstance(value, str) or not value:
        return value
    address = _with_scheme(value.strip(), "https")
    parts = urlsplit(address)
    if "@" in parts.netloc:
        raise ValueError("an address with a password in it is not taken")
    whole = parts.scheme in ("http", "https") and not parts.query and not parts.fragment
    # it gets into links and headers, so blanks and signs that mean something there have no place
    if not (whole and _HOST.fullmatch(parts.netloc) and _PLAIN.fullmatch(address)):
        raise ValueError("is not an address of the form https://host")
    return parts.geturl().rstrip("/")


def _with_scheme(address: str, scheme: str) -> str:
    return address if "://" in address else f"{scheme}://{address}"


def _size(value: object) -> object:
    """Bytes, also as `500 GB` (powers of 1000)."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)b?", value.strip().lower())
    if found is None:
        raise ValueError("is not a number of bytes such as 500000000 or 500GB")
    return int(float(found[1]) * UNITS[found[2]])


def _json_of(adapter: TypeAdapter[Any], value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return adapter.validate_json(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where + ': ' if where else ''}{first['msg']}") from None


def _account(value: object) -> object:
    if isinstance(value, str) and value:
        try:
            if not isinstance(json.loads(value), dict):
                raise ValueError
        except ValueError:
            raise ValueError("is not the JSON text of a service account's key") from None
    return value


Folder = Annotated[Path, BeforeValidator(_folder)]
WebAddress = Annotated[str, BeforeValidator(_web_address)]
EmulatorAddress = Annotated[
    str,
    BeforeValidator(lambda value: _web_address(value and _with_scheme(str(value), "http"))),
]
Size = Annotated[int, BeforeValidator(_size)]
Rooms = Annotated[
    dict[str, RoomRule], NoDecode, BeforeValidator(lambda value: _json_of(_ROOMS, value))
]
Prices = Annotated[
    dict[str, Price], NoDecode, BeforeValidator(lambda value: _json_of(_PRICES, value))
]


class StorageSettings(BaseSettings):
    """See `signaling.settings`."""

    recording_storage_provider: Provider = Field(
        default="local",
        validation_alias="RECORDING_STORAGE_PROVIDER",
        description="where finished recordings are kept: local, s3, b2, gcs or vercel-blob",
        examples=["s3"],
    )
    recording_fallback_provider: Provider | None = Field(
        default=None,
        validation_alias="RECORDING_FALLBACK_PROVIDER",
        description=(
            "where finished recordings go while the provider is down; they are moved home later"
        ),
        examples=["local"],
    )
    recording_output_dir: Folder | None = Field(
        default=None,
        validation_alias="RECORDING_OUTPUT_DIR",
        description="local: folder of finished recordings; `recordings` in the data folder if absent",
        examples=["/srv/recordings"],
    )
    recording_s3_bucket: str = Field(
        default="",
        validation_alias="RECORDING_S3_BUCKET",
        description="s3: name of the bucket",
        examples=["my-recordings"],
    )
    recording_s3_region: str = Field(
        default="",
        validation_alias="RECORDING_S3_REGION",
        description="s3: region of the bucket; us-east-1 when absent",
        examples=["eu-central-1"],
    )
    recording_s3_access_key_id: str = Field(
        default="",
        validation_alias="RECORDING_S3_ACCESS_KEY_ID",
        description="s3: access key; the machine's role or ~/.aws when absent",
        examples=["AKIAIOSFODNN7EXAMPLE"],
    )
    recording_s3_secret_access_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="RECORDING_S3_SECRET_ACCESS_KEY",
        description="s3: the secret that belongs to the access key; safer in the environment or .env",
        examples=["<secret access key>"],
        json_schema_extra=SECRET,
        repr=False,
    )
    recording_s3_endpoint: WebAddress = Field(
        default="",
        validation_alias="RECORDING_S3_ENDPOINT",
        description="s3: address of another store with the same interface; Amazon's when absent",
        examples=["https://minio.example.com:9000"],
    )
    recording_s3_force_path_style: bool | None = Field(
        default=None,
        validation_alias="RECORDING_S3_FORCE_PATH_STYLE",
        description=(
            "s3: whether the bucket is named in the path rather than in the host;"
            " when absent, yes for an endpoint of your own"
        ),
        examples=["true"],
    )
    backblaze_b2_endpoint: WebAddress = Field(
        default="",
        validation_alias="BACKBLAZE_B2_ENDPOINT",
        description="b2: the S3 endpoint shown with the bucket",
        examples=["https://s3.us-west-004.backblazeb2.com"],
    )
    backblaze_b2_access_key_id: str = Field(
        default="",
        validation_alias="BACKBLAZE_B2_ACCESS_KEY_ID",
        description="b2: keyID of an application key",
        examples=["0045f0571db506a0000000001"],
    )
    backblaze_b2_secret_access_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="BACKBLAZE_B2_SECRET_ACCESS_KEY",
        description="b2: the applicationKey itself; safer in the environment or .env",
        examples=["<application key>"],
        json_schema_extra=SECRET,
        repr=False,
    )
    backblaze_b2_bucket_name: str = Field(
        default="",
        validation_alias="BACKBLAZE_B2_BUCKET_NAME",
        description="b2: name of the bucket",
        examples=["my-recordings"],
    )
    recording_gcs_bucket: str = Field(
        default="",
        validation_alias="RECORDING_GCS_BUCKET",
        description="gcs: name of the bucket",
        examples=["my-recordings"],
    )
    recording_gcs_project_id: str = Field(
        default="",
        validation_alias="RECORDING_GCS_PROJECT_ID",
        description="gcs: project of the bucket; that of the key when absent",
        examples=["my-project"],
    )
    recording_gcs_key_filename: Folder | None = Field(
        default=None,
        validation_alias="RECORDING_GCS_KEY_FILENAME",
        description="gcs: file with the key (JSON) of a service account",
        examples=["/etc/mediaserver/gcs.json"],
    )
    recording_gcs_credentials: Annotated[SecretStr, BeforeValidator(_account)] = Field(
        default=SecretStr(""),
        validation_alias="RECORDING_GCS_CREDENTIALS",
        description=(
            "gcs: the key (JSON text) itself; without it and the file, the machine's own account"
        ),
        examples=['{"type": "service_account", ...}'],
        json_schema_extra=SECRET,
        repr=False,
    )
    storage_emulator_host: EmulatorAddress = Field(
        default="",
        validation_alias="STORAGE_EMULATOR_HOST",
        description="gcs: address of an emulator, for tests",
        examples=["http://127.0.0.1:9023"],
    )
    blob_read_write_token: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="BLOB_READ_WRITE_TOKEN",
        description="vercel-blob: token of the store; safer in the environment or .env",
        examples=["vercel_blob_rw_<store>_<secret>"],
        json_schema_extra=SECRET,
        repr=False,
    )
    vercel_blob_api_url: WebAddress = Field(
        default="",
        validation_alias="VERCEL_BLOB_API_URL",
        description="vercel-blob: address of the API and of downloads, for tests and proxies",
        examples=["http://127.0.0.1:9024"],
    )
    recording_playback: Literal["redirect", "proxy"] = Field(
        default="redirect",
        validation_alias="RECORDING_PLAYBACK",
        description=(
            "redirect: browsers fetch recordings from the bucket or CDN by signed links;"
            " proxy: through this server"
        ),
        examples=["proxy"],
    )
    cdn_url: WebAddress = Field(
        default="",
        validation_alias="CDN_URL",
        description="address of a CDN in front of the provider's bucket; links use it",
        examples=["https://media.example.com"],
    )
    cdn_signing: Literal["none", "bunny", "cloudflare"] = Field(
        default="none",
        validation_alias="CDN_SIGNING",
        description="how links to the CDN are signed: none, bunny or cloudflare",
        examples=["bunny"],
    )
    cdn_signing_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="CDN_SIGNING_KEY",
        description="key that the CDN verifies links with; safer in the environment or .env",
        examples=["<token authentication key>"],
        json_schema_extra=SECRET,
        repr=False,
    )
    recording_retention_days: float | None = Field(
        default=None,
        validation_alias="RECORDING_RETENTION_DAYS",
        description="recordings are removed so many days after their end; never when absent",
        examples=["90"],
        gt=0,
    )
    recording_retention_bytes: Size | None = Field(
        default=None,
        validation_alias="RECORDING_RETENTION_BYTES",
        description="the oldest recordings are removed when all take more; `500GB` is understood",
        examples=["500GB"],
        ge=SMALLEST_LIMIT,
    )
    recording_retention_rooms: Rooms = Field(
        default={},
        validation_alias="RECORDING_RETENTION_ROOMS",
        description="JSON: rules of single rooms, instead of the general age and beside the size",
        examples=['{"standup": {"days": 7}, "lectures": {"bytes": 100000000000}}'],
    )
    storage_prices: Prices = Field(
        default={},
        validation_alias="STORAGE_PRICES",
        description="JSON: US dollars a GB, by provider, for the cost estimates; list prices if absent",
        examples=['{"s3": {"storage": 0.023, "egress": 0.09}}'],
    )
    disk_low_mb: int = Field(
        default=512,
        validation_alias="MEDIASERVER_DISK_LOW_MB",
        description="no recording is started with less free MiB in the data folder; 0 never refuses",
        examples=["2048"],
        ge=0,
    )

    @property
    def prices(self) -> Mapping[str, Price]:
        return {**PRICES, **self.storage_prices}


def refuse_contradictions(settings: StorageSettings) -> None:
    """What no single field can tell. Raises SettingsError with one line."""
    main, fallback = settings.recording_storage_provider, settings.recording_fallback_provider
    if fallback == main:
        other = "local" if main != "local" else "s3"
        raise SettingsError(
            f"RECORDING_FALLBACK_PROVIDER (--recording-fallback-provider): `{main}` is the main"
            f' provider already; for example RECORDING_FALLBACK_PROVIDER="{other}"'
        )
    for provider in (main, fallback):
        for name, example in NEEDED.get(provider or "", ()):
            if not given(settings, name):
                raise SettingsError(
                    f"{name} ({_flag(name)}): the provider `{provider}` needs it;"
                    f' for example {name}="{example}"'
                )
    _refuse_half(
        settings,
        ("RECORDING_S3_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("RECORDING_S3_SECRET_ACCESS_KEY", "<secret access key>"),
    )
    if settings.cdn_signing == "none" and given(settings, "CDN_SIGNING_KEY"):
        raise SettingsError(
            "CDN_SIGNING (--cdn-signing): there is a CDN_SIGNING_KEY, but links would not be signed;"
            ' for example CDN_SIGNING="bunny"'
        )
    if settings.cdn_signing != "none":
        for name, example in (
            ("CDN_URL", "https://media.example.com"),
            ("CDN_SIGNING_KEY", "<token authentication key>"),
        ):
            if not given(settings, name):
                raise SettingsError(
                    f'{name} ({_flag(name)}): CDN_SIGNING="{settings.cdn_signing}" needs it;'
                    f' for example {name}="{example}"'
                )


def configured(settings: StorageSettings, provider: str) -> bool:
    """Are the settings of a provider there, whether or not it is in use?"""
    return all(given(settings, name) for name, _ in NEEDED[provider])


def given(settings: StorageSettings, name: str) -> bool:
    value = getattr(settings, name.lower())
    return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _refuse_half(settings: StorageSettings, *pair: tuple[str, str]) -> None:
    there = [given(settings, name) for name, _ in pair]
    if any(there) and not all(there):
        name, example = pair[there.index(False)]
        other = pair[there.index(True)][0]
        raise SettingsError(
            f'{name} ({_flag(name)}): {other} needs it; for example {name}="{example}"'
        )


def _flag(name: str) -> str:
    return "--" + name.lower().replace("_", "-")
