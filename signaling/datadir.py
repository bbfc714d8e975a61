"""What the server keeps in its data folder before anything runs: lock, API keys, identity."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from recorder.journals import sync_up
from signaling.errors import SettingsError, StartError
from signaling.settings import SHORTEST_SECRET, Settings

if TYPE_CHECKING:
    from storage.catalog import Catalog

KEYS_FILE: Final = "keys.json"
LOCK_FILE: Final = "serve.lock"
IDENTITY_FILE: Final = ".identity"  # among the journals: they may be a volume of their own
# A server that was just killed takes a moment to let go of its lock.
LOCK_PATIENCE_SECONDS: Final = 5.0


def prepare_folder(folder: Path, setting: str) -> None:
    """Make the folder (mode 0700, one that exists keeps its own) and prove that files can be
    written there.

    Mode bits say little (they don't stop root, mounts may be read-only), so one is written.
    Raises StartError.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as probe:
            probe.write(b"writable?")
            probe.flush()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StartError(
            f"{setting}: can't write to {folder.absolute()} ({reason}); make it writable or"
            f' choose another folder, for example {setting}="./{folder.name or "data"}-2"'
        ) from None


def lock_data_dir(folder: Path, patience: float = LOCK_PATIENCE_SECONDS) -> IO[bytes]:
    """An exclusive lock for as long as the returned file stays open; `patience` in seconds.

    Raises StartError when another process has it.
    Two servers on one folder would each take the other's running recordings for crashed ones.
    """
    try:
        lock = (folder / LOCK_FILE).open("ab")
    except OSError as error:
        raise StartError(
            f"MEDIASERVER_DATA_DIR: can't open {folder.absolute() / LOCK_FILE} ({error.strerror});"
            " remove it"
        ) from None
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError:
            if time.monotonic() > deadline:
                lock.close()
                raise StartError(
                    f"MEDIASERVER_DATA_DIR: another mediaserver uses {folder.absolute()};"
                    ' stop it or choose another folder, for example MEDIASERVER_DATA_DIR="./data-2"'
                ) from None
            time.sleep(0.05)


async def claim_journals(catalog: Catalog, root: Path) -> None:
    """Sees that `root` holds the journals that the database is about, by an identity that both keep.

    When a volume is not mounted, or settings lead elsewhere, recordings would seem to have no media,
    and fail. Raises StartError, and what the catalog raises.
    """
    known, here = await catalog.folder.identity(), await asyncio.to_thread(_identity_in, root)
    if known is None:
        identity = here or secrets.token_hex(16)
        if here is None:
            await asyncio.to_thread(_write_identity, root, identity)
        await catalog.folder.set_identity(identity)
    elif here != known:
        problem = "has no journals of" if here is None else "belongs to another database than"
        raise StartError(
            f"MEDIASERVER_DATA_DIR: {root.absolute()} {problem} the one in DATABASE_URL; mount the"
            " right folder or correct the setting. If it is lost for good, write"
            f" {known} into {root.absolute() / IDENTITY_FILE}"
        )


def _identity_in(root: Path) -> str | None:
    """Raises StartError when it can't be read."""
    try:
        return (root / IDENTITY_FILE).read_text().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(root, error) from None


def _write_identity(root: Path, identity: str) -> None:
    """On the medium when this returns, whole or not at all. Raises StartError."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = root / f"{IDENTITY_FILE}.new"
        with draft.open("w") as file:
            file.write(identity + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(root / IDENTITY_FILE)
        sync_up(root, root.parent)
    except OSError as error:
        raise _unusable(root, error) from None


def _unusable(root: Path, error: Exception) -> StartError:
    reason = getattr(error, "strerror", None) or type(error).__name__
    return StartError(
        f"MEDIASERVER_DATA_DIR: can't use {root.absolute() / IDENTITY_FILE} ({reason});"
        " make the folder readable and writable"
    )


def api_keys(settings: Settings) -> Mapping[str, str]:
    """The API keys in force: those of the settings, else those of the data folder, made if absent.

    Raises StartError when the folder can't be written, SettingsError for an unusable keys file.
    """
    if settings.keys:
        return {key: secret.get_secret_value() for key, secret in settings.keys.items()}
    prepare_folder(settings.data_dir, "MEDIASERVER_DATA_DIR")
    path = settings.data_dir / KEYS_FILE
    if not path.exists():
        _make_keys(path)
    return _read_keys(path)


def _make_keys(path: Path) -> None:
    """Written aside and linked into place: never half a file, and the first of two makers wins."""
    keys = {"API" + secrets.token_hex(6): secrets.token_urlsafe(36)}
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".keys-") as draft:  # mode 0600
        json.dump(keys, draft)
        draft.flush()
        os.fsync(draft.fileno())
        try:
            path.hardlink_to(draft.name)
        except FileExistsError:
            return


def _read_keys(path: Path) -> Mapping[str, str]:
    try:
        keys = json.loads(path.read_text())
        if not isinstance(keys, dict) or not keys:
            raise ValueError("no keys")
        short = [secret for secret in keys.values() if len(str(secret)) < SHORTEST_SECRET]
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: not a file of keys ({type(error).__name__}); remove it to have new ones made"
        ) from None
    if short:
        raise SettingsError(
            f"{path}: a secret is shorter than {SHORTEST_SECRET} characters; remove the file to"
            " have new ones made"
        )
    return {str(key): str(secret) for key, secret in keys.items()}
