"""Whose requests those to Google Cloud Storage are, and with whose key requests for others are signed.

A service account's key comes as JSON, in a text or in a file, and is read at once. Without one the
machine's own credentials count ("application default credentials": an attached service account, a
file named by GOOGLE_APPLICATION_CREDENTIALS, gcloud's login); finding them may take a request, so
that waits until they are needed. An endpoint of one's own (an emulator) is asked without credentials.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import google.auth
from google.auth.credentials import AnonymousCredentials, Credentials, Signing
from google.oauth2 import service_account

from storage.errors import CredentialsRefused

SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_write"
NEEDED: Final = ("client_email", "private_key", "token_uri")


class Account:
    """`key` signs, and unless `anonymous` also makes the requests."""

    def __init__(self, key: service_account.Credentials | None, *, anonymous: bool) -> None:
        self._key = key
        self.anonymous = anonymous
        self._finding = threading.Lock()
        self._found: Credentials | None = None

    def for_requests(self) -> Credentials:
        """May block. Raises google.auth's DefaultCredentialsError."""
        if self.anonymous:
            return AnonymousCredentials()
        return self._key or self._of_this_machine()

    def for_signing(self) -> Signing:
        """The same, for credentials that can sign. Raises CredentialsRefused when these can't."""
        found: object = self._key
        if found is None and not self.anonymous:
            found = self._of_this_machine()
        if not isinstance(found, Signing):
            raise CredentialsRefused(
                "signing needs a service account's key, and Google Cloud Storage was given none"
            )
        return found

    def _of_this_machine(self) -> Credentials:
        with self._finding:
            if self._found is None:
                self._found, _ = google.auth.default(scopes=[SCOPE])
            return self._found


def key_of(credentials: str | None, key_file: Path | None) -> service_account.Credentials | None:
    """The key in a text or a file, None if neither is given. Raises CredentialsRefused."""
    if credentials is not None and key_file is not None:
        raise CredentialsRefused(
            "Google credentials came as a text and as a file: only one of them can count"
        )
    if credentials is not None:
        return _parsed(credentials, "the Google credentials")
    if key_file is not None:
        return _parsed(_text_of(key_file), f"the Google key file {key_file}")
    return None


def _text_of(key_file: Path) -> str:
    try:
        return key_file.read_text()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CredentialsRefused(
            f"the Google key file {key_file} can't be read: {reason}"
        ) from error
    except UnicodeDecodeError:
        return ""


def _parsed(text: str, name: str) -> service_account.Credentials:
    # errors of parsers hold the text, and with it the key: none of them is passed on
    info = _json_or_none(text)
    if not isinstance(info, dict):
        raise CredentialsRefused(f"{name} are not the JSON of a service account's key")
    if info.get("type") != "service_account":
        raise CredentialsRefused(f'{name} are no service account\'s key: "type" says otherwise')
    if missing := [field for field in NEEDED if not isinstance(info.get(field), str)]:
        raise CredentialsRefused(f"{name} lack {', '.join(missing)}")
    found = _key_or_none(info)
    if found is None:
        raise CredentialsRefused(f"{name} have a private_key that is no RSA key in PEM")
    return found


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _key_or_none(info: Mapping[str, Any]) -> service_account.Credentials | None:
    try:
        key: service_account.Credentials
        key = service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])
    except (ValueError, TypeError):
        return None
    return key
