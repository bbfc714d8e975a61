"""Every setting of the server, in one model: what it is called, what it means, what is refused.

Flags win over the environment, the environment over a `.env` file in the working directory. All
three are read here once; nothing else of the product looks at the environment. A setting that can't
be used raises SettingsError with one line that names it, says what is wrong and shows a right one;
values that are secret (keys, database URLs) never appear in it.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from signaling.errors import SettingsError
from signaling.storage_settings import SECRET, Folder, StorageSettings, refuse_contradictions
from signaling.upload_settings import UploadSettings

SHORTEST_SECRET: Final = 32  # characters
OWN_PREFIX: Final = "MEDIASERVER_"
DATABASE_SCHEMES: Final = ("sqlite", "postgresql")

# Names of the contract whose part is not built yet: accepted with a warning, so that one `.env`
# serves this version and the next.
NOT_BUILT_YET: Final = frozenset(
    {
        "REDIS_URL",
        "AUTH_JWT_SECRET",
        "AUTH_JWKS_URL",
        "AUTH_JWT_AUDIENCE",
        "MEDIASERVER_TURN_URLS",
        "MEDIASERVER_TURN_SECRET",
    }
)


def _items(value: object) -> object:
    """Comma separated text as a list; anything else is left for the type to judge."""
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


def _key_pairs(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs: dict[str, str] = {}
    for number, item in enumerate(filter(None, map(str.strip, value.split(","))), start=1):
        key, colon, secret = (part.strip() for part in item.partition(":"))
        if not (key and colon and secret):
            raise ValueError(f"pair {number} is not of the form `key: secret`")
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(
                f"secret {number} has {len(secret)} characters, at least {SHORTEST_SECRET} are"
                " needed"
            )
        if key in pairs:
            raise ValueError(f"the key of pair {number} is given twice")
        pairs[key] = secret
    return pairs


def _addresses(value: object) -> object:
    items = _items(value)
    if isinstance(items, tuple):
        for item in items:
            try:
                address = ipaddress.ip_address(item)
            except ValueError:
                raise ValueError(f"`{item}` is not an IP address") from None
            if address.is_unspecified:
                raise ValueError(f"`{item}` is not an address that clients can reach")
    return items


def _origins(value: object) -> object:
    items = _items(value)
    if not isinstance(items, tuple):
        return items
    origins = tuple(item.rstrip("/").lower() for item in items)
    for origin in origins:
        parts = urlsplit(origin)
        bare = parts.scheme in ("http", "https") and parts.netloc and not parts.path
        if origin != "*" and not (bare and not parts.query and not parts.fragment):
            raise ValueError(f"`{origin}` is not an origin (scheme, host and port only)")
    return origins


def _webhook_urls(value: object) -> object:
    """Never quotes an address: those of webhooks often hold a secret."""
    items = _items(value)
    if isinstance(items, tuple):
        for number, item in enumerate(items, start=1):
            try:
                parts = urlsplit(item)
                usable = parts.scheme in ("http", "https") and bool(parts.hostname)
                plain = parts.username is None and not parts.fragment and parts.port != 0
            except ValueError:
                usable = plain = False
            if not (usable and plain):
                raise ValueError(
                    f"address {number} is not an http or https URL (without user, password and #)"
                )
        if len(set(items)) < len(items):
            raise ValueError("an address is given twice")
    return items


def _database(value: object) -> object:
    scheme = str(value).partition("://")[0]
    if value and (scheme not in DATABASE_SCHEMES or "://" not in str(value)):
        raise ValueError("only sqlite:///... and postgresql://... databases are supported")
    return value


Keys = Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_key_pairs)]
Addresses = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_addresses)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]
WebhookUrls = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_webhook_urls), Field(repr=False)
]
Port = Annotated[int, Field(ge=0, le=65535)]


class ServerSettings(BaseSettings):
    """`validation_alias` is the environment name; the flag is made from the field's name."""

    keys: Keys = Field(
        default={},
        validation_alias="MEDIASERVER_KEYS",
        description=(
            "`key: secret` pairs, comma separated, secrets of at least 32 characters;"
            " made and kept in the data folder when absent; others see flags in the process list,"
            " the environment or .env is safer"
        ),
        examples=["mykey: <32 or more random characters>"],
        json_schema_extra=SECRET,
        repr=False,
    )
    host: str = Field(
        default="0.0.0.0",  # noqa: S104 - a server that others can't reach serves nobody
        validation_alias="MEDIASERVER_HOST",
        description="address to listen on, for HTTP and for media",
        examples=["127.0.0.1"],
        min_length=1,
    )
    port: Port = Field(
        default=7880,
        validation_alias="MEDIASERVER_PORT",
        description="TCP port of HTTP and WebSocket; 0 picks a free one",
        examples=["7880"],
    )
    rtc_udp_port: Port = Field(
        default=7882,
        validation_alias="MEDIASERVER_RTC_UDP_PORT",
        description="UDP port of all media; 0 picks a free one",
        examples=["7882"],
    )
    rtc_tcp_port: Port = Field(
        default=7881,
        validation_alias="MEDIASERVER_RTC_TCP_PORT",
        description="TCP port of media for clients without UDP; accepted, but not built yet",
        examples=["7881"],
    )
    public_ip: Addresses = Field(
        default=(),
        validation_alias="MEDIASERVER_PUBLIC_IP",
        description=(
            "comma separated addresses at which clients reach the media port;"
            " the machine's own addresses when absent"
        ),
        examples=["203.0.113.7"],
    )
    data_dir: Folder = Field(
        default=Path("data"),
        validation_alias="MEDIASERVER_DATA_DIR",
        description="folder of the database, the keys and the journals of recordings",
        examples=["./data"],
    )
    database_url: Annotated[str, BeforeValidator(_database)] = Field(
        default="",
        validation_alias="DATABASE_URL",
        description=(
            "database of calls and recordings; SQLite in the data folder when absent;"
            " a password is safer in the environment or .env than in the flag"
        ),
        examples=["postgresql://user:password@localhost/mediaserver"],
        json_schema_extra=SECRET,
        repr=False,
    )
    allowed_origins: Origins = Field(
        default=(),
        validation_alias="ALLOWED_ORIGINS",
        description="comma separated origins whose pages may use the REST API; `*` for all",
        examples=["https://app.example.com"],
    )
    jobs_at_once: int | None = Field(
        default=None,
        ge=1,
        le=64,
        validation_alias="MEDIASERVER_JOBS_AT_ONCE",
        description=(
            "recordings that are finished at a time, and half as many rendered, at least one;"
            " one less than the processor's cores when absent"
        ),
        examples=["2"],
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        validation_alias="MEDIASERVER_LOG_LEVEL",
        description="debug, info, warning or error",
        examples=["info"],
    )


class LifeSettings(BaseSettings):
    """How recordings begin and end, and who is told."""

    webhook_urls: WebhookUrls = Field(
        default=(),
        validation_alias="WEBHOOK_URLS",
        description=(
            "comma separated addresses that are told of every change of a recording's status,"
            " signed as LiveKit does it"
        ),
        examples=["https://app.example.com/hooks/mediaserver"],
        json_schema_extra=SECRET,
        repr=False,
    )
    recording_no_media_minutes: float = Field(
        default=10.0,
        validation_alias="RECORDING_NO_MEDIA_MINUTES",
        description="a recording to which no media came for so long ends; 0 lets it wait",
        examples=["10"],
        ge=0.0,
        le=10_080.0,
    )
    disk_stop_mb: int = Field(
        default=128,
        validation_alias="MEDIASERVER_DISK_STOP_MB",
        description=(
            "running recordings end when less free MiB, beside what finishing them needs,"
            " are left in the data folder; 0 never ends them"
        ),
        examples=["128"],
        ge=0,
    )
    drain_seconds: float = Field(
        default=60.0,
        validation_alias="MEDIASERVER_DRAIN_SECONDS",
        description="how long a server that was told to stop may finish and store recordings",
        examples=["60"],
        ge=0.0,
        le=86_400.0,
    )


class Settings(UploadSettings, LifeSettings, StorageSettings, ServerSettings):
    """All of them, in the order of --help: those of the server first."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", case_sensitive=True, env_ignore_empty=True
    )

    @property
    def database(self) -> str:
        """The database URL in use."""
        if self.database_url:
            return self.database_url
        return f"sqlite:///{self.data_dir.absolute() / 'mediaserver.db'}"

    @property
    def recordings_dir(self) -> Path:
        return self.recording_output_dir or self.data_dir / "recordings"


def environment_name(field: FieldInfo) -> str:
    """What a setting is called in the environment."""
    return str(field.validation_alias)


def flag_name(name: str) -> str:
    """`data_dir` -> `--data-dir`."""
    return "--" + name.replace("_", "-")


def load_settings(
    flags: Mapping[str, str] | None = None, *, env_file: Path | None = Path(".env")
) -> Settings:
    """The settings in force. `flags` maps field names to texts. Raises SettingsError."""
    fields = Settings.model_fields
    given = {environment_name(fields[name]): text for name, text in (flags or {}).items()}
    _refuse_unknown([*os.environ, *_names_in(env_file)])
    try:
        settings = Settings(_env_file=env_file, **given)  # type: ignore[call-arg,arg-type]
    except ValidationError as error:
        raise _as_one_line(error) from None
    refuse_contradictions(settings)
    return settings


def unbuilt_settings(env_file: Path | None = Path(".env")) -> list[str]:
    """Settings that were given but do nothing yet, sorted by name."""
    given = {*os.environ, *_names_in(env_file)}
    return sorted(given & NOT_BUILT_YET)


def _names_in(env_file: Path | None) -> Iterable[str]:
    if env_file is None or not env_file.is_file():
        return ()
    try:
        return dotenv_values(env_file, interpolate=False).keys()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{env_file}: can't be read ({type(error).__name__})") from None


def _refuse_unknown(names: Iterable[str]) -> None:
    known = {environment_name(field) for field in Settings.model_fields.values()} | NOT_BUILT_YET
    for name in names:
        if name.startswith(OWN_PREFIX) and name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
            raise SettingsError(f"{name}: there is no such setting; did you mean {near[0]}?")


def _as_one_line(error: ValidationError) -> SettingsError:
    first = error.errors(include_url=False, include_context=False)[0]
    env_name = str(first["loc"][0])
    name, field = next(
        (name, field)
        for name, field in Settings.model_fields.items()
        if environment_name(field) == env_name
    )
    problem = first["msg"].removeprefix("Value error, ").replace("\n", " ")
    got = "" if is_secret(field) or first["type"] == "value_error" else f", got `{first['input']}`"
    example = (field.examples or [""])[0]
    return SettingsError(
        f"{env_name} ({flag_name(name)}): {_lower_first(problem)}{got};"
        f" for example {env_name}={_quoted(str(example))}"
    )


def _quoted(example: str) -> str:
    return f"'{example}'" if '"' in example else f'"{example}"'


def is_secret(field: FieldInfo) -> bool:
    """May the setting's value never be shown?"""
    extra: Any = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("secret"))


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
