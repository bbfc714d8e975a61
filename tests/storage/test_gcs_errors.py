"""What Google says, in our words: refusals, credentials, tokens; and no secret in any of it."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from storage.errors import (
    BucketMissing,
    ClockSkewed,
    CredentialsExpired,
    CredentialsRefused,
    EndpointWrong,
    ObjectChanged,
    ObjectNotFound,
    PermissionMissing,
    StorageError,
    StoreFull,
    StoreMisconfigured,
    StoreUnavailable,
    UploadGone,
)
from storage.objects import Retrier, RetryPolicy
from storage.objects.gcs import GcsStore
from storage.objects.gcs_account import Account, key_of
from storage.objects.gcs_batch import delete_batch
from storage.objects.gcs_bucket import Bucket
from storage.objects.gcs_errors import Place, refusal_of, refused, translated
from storage.objects.gcs_signing import GcsSigning
from tests.rig.faults import Answer, FaultProxy, fault_proxy
from tests.rig.gcs import GcsRig, gcs_rig
from tests.rig.gcs_signatures import ServiceAccount

PLACE = Place("b", "Google Cloud Storage")
SECRET = "the-secret-that-nobody-may-see"
LIFE = timedelta(minutes=10)
PASSING, UNDONE = {"passing"}, {"passing", "undone"}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[GcsRig, FaultProxy]]:
    with gcs_rig() as rig, fault_proxy(rig.endpoint) as proxy:
        yield rig, proxy


@pytest.fixture
def rig(running: tuple[GcsRig, FaultProxy]) -> GcsRig:
    running[0].wipe()
    return running[0]


@pytest.fixture
def proxy(running: tuple[GcsRig, FaultProxy]) -> FaultProxy:
    running[1].forget()
    return running[1]


def in_json(reason: str, message: str = SECRET) -> bytes:
    return json.dumps({"error": {"message": message, "errors": [{"reason": reason}]}}).encode()


def in_xml(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()


# --- refusals -------------------------------------------------------------------------------------

REFUSALS = [
    (400, in_json("invalid"), StoreUnavailable, set()),
    (400, in_xml("ExpiredToken"), CredentialsExpired, set()),
    (
        400,
        in_json("invalid", 'CRC32C "a" doesn\'t match calculated "b"'),
        StoreUnavailable,
        PASSING,
    ),
    (401, in_json("authError"), CredentialsRefused, set()),
    (401, b"", CredentialsRefused, set()),
    (403, in_json("forbidden"), PermissionMissing, set()),
    (403, in_xml("AccessDenied"), PermissionMissing, set()),
    (403, in_xml("SignatureDoesNotMatch"), CredentialsRefused, set()),
    (403, in_xml("RequestTimeTooSkewed"), ClockSkewed, set()),
    (403, in_json("userRateLimitExceeded"), StoreUnavailable, UNDONE),
    (403, in_json("quotaExceeded"), StoreFull, set()),
    (403, in_json("accountDisabled"), StoreMisconfigured, set()),
    (403, in_json("retentionPolicyNotMet"), PermissionMissing, set()),
    (404, in_json("notFound", "The specified bucket does not exist."), BucketMissing, set()),
    (404, in_json("notFound", "No such object: b/k"), ObjectNotFound, None),
    (404, in_xml("NoSuchBucket"), BucketMissing, set()),
    (404, in_xml("NoSuchKey"), ObjectNotFound, None),
    (404, in_xml("NoSuchUpload"), UploadGone, None),
    (404, b"", ObjectNotFound, None),
    (405, b"", EndpointWrong, set()),
    (408, in_json("uploadBrokenConnection"), StoreUnavailable, PASSING),
    (410, b"", UploadGone, None),
    (412, in_json("conditionNotMet"), ObjectChanged, None),
    (429, in_json("rateLimitExceeded"), StoreUnavailable, UNDONE),
    (429, in_xml("SlowDown"), StoreUnavailable, UNDONE),
    (429, b"", StoreUnavailable, UNDONE),
    (500, in_json("backendError"), StoreUnavailable, PASSING),
    (502, b"<html>", StoreUnavailable, PASSING),
    (503, in_json("backendError"), StoreUnavailable, UNDONE),
    (504, b"", StoreUnavailable, PASSING),
    (507, b"", StoreFull, set()),
]


@pytest.mark.parametrize(("status", "body", "kind", "flags"), REFUSALS)
def test_a_refusal(
    status: int, body: bytes, kind: type[StorageError], flags: set[str] | None
) -> None:
    error = refused(PLACE, "look at 'k'", "k", refusal_of(status, {}, body))
    assert type(error) is kind or (kind is StoreUnavailable and isinstance(error, kind))
    assert SECRET not in str(error)
    if isinstance(error, StoreUnavailable):
        assert "bucket b at Google Cloud Storage" in str(error)
        assert {name for name in UNDONE if getattr(error, name)} == flags


def test_a_404_that_is_about_no_object_is_about_the_bucket() -> None:
    assert isinstance(refused(PLACE, "list", "", refusal_of(404, {}, b"")), BucketMissing)


def test_a_refusal_says_when_to_come_back() -> None:
    error = refused(PLACE, "list", "", refusal_of(503, {"Retry-After": "12"}, b""))
    assert isinstance(error, StoreUnavailable)
    assert error.retry_after == 12.0


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'{"error": "x"}',
        b'{"error": {"errors": 3}}',
        b'{"error": {"errors": [{}]}}',
    ],
)
def test_a_refusal_that_nobody_foresaw(body: bytes) -> None:
    error = refused(PLACE, "list", "", refusal_of(418, {}, body))
    assert str(error) == f"{PLACE} could not list: it answered 418"


def test_attack_a_reason_that_is_none_is_not_repeated() -> None:
    for body in (in_json(f"{SECRET} <script>"), in_xml(f"{SECRET}")):
        assert SECRET not in str(refused(PLACE, "list", "", refusal_of(400, {}, body)))


NETWORK = [
    (socket.gaierror(-2, "Name or service not known"), EndpointWrong, UNDONE),
    (ConnectionRefusedError(), StoreUnavailable, UNDONE),
    (ssl.SSLCertVerificationError(), EndpointWrong, set()),
    (ssl.SSLEOFError(), StoreUnavailable, PASSING),
    (ssl.SSLError(), EndpointWrong, set()),
    (requests.ConnectTimeout(), StoreUnavailable, UNDONE),
    (requests.ReadTimeout(), StoreUnavailable, PASSING),
    (ConnectionResetError(), StoreUnavailable, PASSING),
    (requests.exceptions.InvalidURL(), EndpointWrong, set()),
]


@pytest.mark.parametrize(
    ("cause", "kind", "flags"), NETWORK, ids=[repr(cause)[:40] for cause, _, _ in NETWORK]
)
def test_an_error_of_the_network(
    cause: BaseException, kind: type[StoreUnavailable], flags: set[str]
) -> None:
    def fail() -> None:
        with translated(PLACE, "list"):
            raise requests.ConnectionError(f"http://h/?upload_id={SECRET}") from cause

    with pytest.raises(kind) as caught:
        fail()
    assert {name for name in UNDONE if getattr(caught.value, name)} == flags
    assert SECRET not in "".join(traceback.format_exception(caught.value))


# --- keys -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def account() -> ServiceAccount:
    return ServiceAccount.made("http://127.0.0.1:9/token")


def changed(account: ServiceAccount, **fields: object) -> str:
    return json.dumps({**json.loads(account.credentials), **fields})


WRONG_KEYS: list[tuple[Callable[[ServiceAccount], str], str]] = [
    (lambda _: "", "are not the JSON of a service account's key"),
    (lambda account: account.credentials[:-1], "are not the JSON of a service account's key"),
    (lambda _: "[]", "are not the JSON of a service account's key"),
    (lambda account: changed(account, type="authorized_user"), "are no service account's key"),
    (lambda account: changed(account, client_email=None), "lack client_email"),
    (lambda account: changed(account, private_key=3, token_uri=""), "lack private_key"),
    (lambda account: changed(account, private_key=SECRET), "private_key that is no RSA key"),
    (
        lambda account: changed(
            account, private_key=json.loads(account.credentials)["private_key"][:-100]
        ),
        "private_key that is no RSA key",
    ),
]


@pytest.mark.parametrize(("spoil", "sentence"), WRONG_KEYS)
def test_attack_a_key_that_is_wrong_is_named_and_not_told(
    account: ServiceAccount, tmp_path: Path, spoil: Callable[[ServiceAccount], str], sentence: str
) -> None:
    text = spoil(account)
    file = tmp_path / "key.json"
    file.write_text(text)
    secrets = (SECRET, json.loads(account.credentials)["private_key"][40:80])
    for given in ({"credentials": text}, {"key_file": file}):
        with pytest.raises(CredentialsRefused, match=sentence) as caught:
            GcsStore("b", **given)  # type: ignore[arg-type]
        shown = "".join(traceback.format_exception(caught.value))
        assert not [secret for secret in secrets if secret in shown]
        assert caught.value.__context__ is None, "what a parser says holds the text"


def test_a_key_file_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(CredentialsRefused, match=r"missing\.json can't be read: No such file"):
        GcsStore("b", key_file=tmp_path / "missing.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(CredentialsRefused, match="not the JSON"):
        GcsStore("b", key_file=tmp_path / "binary")


def test_two_keys_contradict_each_other(account: ServiceAccount, tmp_path: Path) -> None:
    with pytest.raises(CredentialsRefused, match="only one of them can count"):
        GcsStore("b", credentials=account.credentials, key_file=tmp_path / "key.json")


async def test_a_machine_without_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    store = GcsStore("b")
    for call in (store.check, lambda: store.sign_part("a", "b", 1, LIFE)):
        with pytest.raises(CredentialsRefused, match="no Google credentials of its own"):
            await call()
    await store.close()


# --- tokens ---------------------------------------------------------------------------------------


@asynccontextmanager
async def asked_with_tokens(credentials: str | None, endpoint: str) -> AsyncIterator[Bucket]:
    """A bucket that is asked as Google's own is. Without credentials the machine's count."""
    bucket = Bucket(
        "rig-bucket",
        Account(key_of(credentials, None), anonymous=False),
        endpoint,
        Retrier(RetryPolicy(attempts=2, first_pause=0.001)),
    )
    yield bucket
    bucket.close()


def with_tokens_from(credentials: str, url: str) -> str:
    return json.dumps({**json.loads(credentials), "token_uri": f"{url}/token"})


async def test_a_token_that_is_not_taken_any_more_is_exchanged(
    rig: GcsRig, proxy: FaultProxy
) -> None:
    async with asked_with_tokens(rig.credentials_json, proxy.url) as bucket:
        await delete_batch(bucket, ["a"])
        rig.front.tokens.clear()
        await delete_batch(bucket, ["a"])
    tokens = [request.headers["authorization"] for request in proxy.matching("POST", "/batch/")]
    assert tokens[0] == tokens[1] != tokens[2]
    bodies = [request.body_bytes for request in proxy.matching("POST", "/batch/")]
    assert bodies[0] == bodies[1] == bodies[2] > 0


async def test_the_machines_own_credentials(
    rig: GcsRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.json").write_text(rig.credentials_json)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    async with asked_with_tokens(None, rig.endpoint) as bucket:
        await delete_batch(bucket, ["a"])
        signed = await GcsSigning(bucket, None).sign_put("a", LIFE, "video/mp4")
    assert "X-Goog-Signature=" in signed.url


TOKEN_REFUSALS = [
    ("Invalid JWT: Token must be a short-lived token and in a reasonable timeframe", ClockSkewed),
    ("Invalid JWT Signature.", CredentialsRefused),
    ("Invalid grant: account not found", CredentialsRefused),
    ("Token has been expired or revoked.", CredentialsExpired),
]


@pytest.mark.parametrize(("description", "kind"), TOKEN_REFUSALS)
async def test_a_token_that_is_refused(
    rig: GcsRig, proxy: FaultProxy, description: str, kind: type[StorageError]
) -> None:
    said = {"error": "invalid_grant", "error_description": description, "more": SECRET}
    proxy.inject(Answer(400, body=json.dumps(said).encode()), containing="/token", times=9)
    credentials = with_tokens_from(rig.credentials_json, proxy.url)
    async with asked_with_tokens(credentials, proxy.url) as bucket:
        with pytest.raises(kind, match="no access token could be had") as caught:
            await delete_batch(bucket, ["a"])
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert proxy.count("POST", "/batch/") == 0


async def test_attack_the_key_of_another_account(rig: GcsRig) -> None:
    stranger = ServiceAccount.made(f"{rig.endpoint}/token")
    async with asked_with_tokens(stranger.credentials, rig.endpoint) as bucket:
        with pytest.raises(CredentialsRefused, match="does not exist"):
            await delete_batch(bucket, ["a"])


async def test_attack_a_made_up_token(rig: GcsRig, proxy: FaultProxy) -> None:
    made_up = json.dumps({"access_token": "made-up", "expires_in": 3600}).encode()
    proxy.inject(Answer(200, body=made_up), containing="/token", times=9)
    credentials = with_tokens_from(rig.credentials_json, proxy.url)
    async with asked_with_tokens(credentials, proxy.url) as bucket:
        with pytest.raises(CredentialsRefused, match="refused the credentials"):
            await delete_batch(bucket, ["a"])


async def test_a_token_server_that_is_away(rig: GcsRig, proxy: FaultProxy) -> None:
    credentials = with_tokens_from(rig.credentials_json, "http://127.0.0.1:9")
    async with asked_with_tokens(credentials, proxy.url) as bucket:
        with pytest.raises(StoreUnavailable, match="nothing answers there") as caught:
            await delete_batch(bucket, ["a"])
    assert caught.value.passing
    assert caught.value.undone


# --- imports --------------------------------------------------------------------------------------


def test_googles_libraries_are_imported_only_with_the_store() -> None:
    program = """
import sys
import storage.objects
assert not [name for name in sys.modules if name.split(".")[0] in ("google", "requests")]
import storage.objects.gcs
assert "google.cloud.storage" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
