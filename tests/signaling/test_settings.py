"""Settings: where they come from, and how a wrong one is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from signaling.datadir import KEYS_FILE, api_keys, lock_data_dir, prepare_folder
from signaling.errors import SettingsError, StartError
from signaling.settings import NOT_BUILT_YET, Settings, environment_name, load_settings

SECRET = "a secret of more than thirty-two characters"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(environment_name(field), raising=False)
    for name in NOT_BUILT_YET:
        monkeypatch.delenv(name, raising=False)


def refusal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings(env_file=None)
    return refused.value.message


def test_flags_before_environment_before_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("MEDIASERVER_PORT=1\nMEDIASERVER_HOST=a\nMEDIASERVER_LOG_LEVEL=error\n")
    monkeypatch.setenv("MEDIASERVER_PORT", "2")
    monkeypatch.setenv("MEDIASERVER_HOST", "b")
    settings = load_settings({"port": "3"}, env_file=env_file)
    assert (settings.port, settings.host, settings.log_level) == (3, "b", "error")


def test_lists_and_pairs_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIASERVER_KEYS", f"one: {SECRET}1, two:{SECRET}2")
    monkeypatch.setenv("MEDIASERVER_PUBLIC_IP", "203.0.113.7, 2001:db8::7")
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://App.example.com/,http://localhost:3000")
    settings = load_settings(env_file=None)
    assert api_keys(settings) == {"one": SECRET + "1", "two": SECRET + "2"}
    assert settings.public_ip == ("203.0.113.7", "2001:db8::7")
    assert settings.allowed_origins == ("https://app.example.com", "http://localhost:3000")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"MEDIASERVER_PORT": "eighty"}, ["--port", "eighty", '="7880"']),
        ({"MEDIASERVER_RTC_UDP_PORT": "70000"}, ["65535", "70000"]),
        ({"MEDIASERVER_PUBLIC_IP": "0.0.0.0"}, ["0.0.0.0", "reach"]),
        ({"MEDIASERVER_PUBLIC_IP": "example.com"}, ["not an IP address"]),
        ({"ALLOWED_ORIGINS": "https://a.example/path"}, ["not an origin"]),
        ({"RECORDING_STORAGE_PROVIDER": "floppy"}, ["floppy", "local"]),
        ({"MEDIASERVER_LOG_LEVEL": "loud"}, ["loud", "warning"]),
        ({"MEDIASERVER_KEYS": "no pair"}, ["key: secret"]),
        ({"MEDIASERVER_KEYS": "k: 2short"}, ["6 characters", "32"]),
        ({"DATABASE_URL": "mysql://me:hunter2@db/x"}, ["sqlite", "postgresql"]),
    ],
)
def test_a_wrong_one_is_named_with_an_example(
    environment: Mapping[str, str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    message = refusal(monkeypatch, **environment)
    (name,) = environment
    assert message.startswith(name)
    assert f'for example {name}="' in message
    assert "\n" not in message
    assert not [word for word in words if word not in message], message


def test_a_provider_names_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(monkeypatch, RECORDING_STORAGE_PROVIDER="s3")
    assert message.startswith("RECORDING_S3_BUCKET (--recording-s3-bucket): ")
    assert 'for example RECORDING_S3_BUCKET="' in message


@pytest.mark.parametrize(
    "environment",
    [
        {"MEDIASERVER_KEYS": "hunter2"},
        {"MEDIASERVER_KEYS": "hunter2: hunter2"},
        {"MEDIASERVER_KEYS": f"k: {SECRET}hunter2, k: {SECRET}hunter2"},
        {"DATABASE_URL": "hunter2://me:hunter2@db/x"},
    ],
)
def test_secrets_are_never_echoed(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "hunter2" not in refusal(monkeypatch, **environment)


def test_secrets_are_not_in_the_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIASERVER_KEYS", f"k: {SECRET}")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@db/x")
    shown = repr(load_settings(env_file=None))
    assert SECRET not in shown
    assert "hunter2" not in shown


def test_a_misspelt_name_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "MEDIASERVER_DATA_DIR?" in refusal(monkeypatch, MEDIASERVER_DATADIR="x")


def test_a_misspelt_name_in_the_file_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MEDIASERVER_PROT=1\nSOMETHING_ELSE=2\n")
    with pytest.raises(SettingsError, match="MEDIASERVER_PORT"):
        load_settings(env_file=tmp_path / ".env")


def test_names_of_parts_not_built_yet_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIASERVER_TURN_SECRET", "x")
    monkeypatch.setenv("REDIS_URL", "redis://localhost")
    load_settings(env_file=None)


def test_keys_are_made_once_and_kept_private(tmp_path: Path) -> None:
    settings = load_settings({"data_dir": str(tmp_path / "data")}, env_file=None)
    first = api_keys(settings)
    path = tmp_path / "data" / KEYS_FILE
    assert api_keys(settings) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert all(len(secret) >= 32 for secret in first.values())
    assert [entry.name for entry in path.parent.iterdir()] == [KEYS_FILE]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"k": "short"}', "not json"])
def test_a_broken_keys_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / KEYS_FILE).write_text(text)
    with pytest.raises(SettingsError, match=KEYS_FILE):
        api_keys(load_settings({"data_dir": str(tmp_path)}, env_file=None))


def test_a_keys_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / KEYS_FILE).write_text(json.dumps({"mine": SECRET}))
    assert api_keys(load_settings({"data_dir": str(tmp_path)}, env_file=None)) == {"mine": SECRET}


def test_a_data_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    for folder in (tmp_path / "data", tmp_path / "data" / "below"):
        with pytest.raises(StartError, match="MEDIASERVER_DATA_DIR"):
            prepare_folder(folder, "MEDIASERVER_DATA_DIR")


def test_one_server_for_one_data_folder(tmp_path: Path) -> None:
    with lock_data_dir(tmp_path), pytest.raises(StartError, match="another mediaserver"):
        lock_data_dir(tmp_path, patience=0)
    lock_data_dir(tmp_path, patience=0).close()
