"""Vercel Blob: what is set wrong, what fails, and what passes by waiting."""

from __future__ import annotations

from functools import partial

import pytest

from storage.errors import (
    BucketMissing,
    CredentialsRefused,
    EndpointWrong,
    ObjectChanged,
    ObjectNotFound,
    PermissionMissing,
    StorageError,
    StoreMisconfigured,
    StoreUnavailable,
)
from storage.objects import Retrier, RetryPolicy
from storage.objects.vercel_blob import VercelBlobStore
from tests.rig.faults import Answer, FaultProxy
from tests.rig.vercel import VercelRig, new_token
from tests.storage.contents import Put, keys, read
from tests.storage.vercel_blob.opening import SECRET, STRANGER, Naps, error_answer, opened

# --- misconfiguration -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        "",
        SECRET,
        f"vercel_blob_rw_{SECRET}",
        f"vercel_blob_rw__{SECRET}",
        "vercel_blob_rw_store_",
        f"vercel_blob_client_store_{SECRET}",
        f"vercel_blob_rw_store_{SECRET}\n",
        f" vercel_blob_rw_store_{SECRET}",
        f"vercel_blob_rw_a.example/store_{SECRET}",
        f'BLOB_READ_WRITE_TOKEN="vercel_blob_rw_store_{SECRET}"',
    ],
)
def test_a_malformed_token_is_refused_at_once_and_not_repeated_to_anybody(token: str) -> None:
    with pytest.raises(CredentialsRefused, match="BLOB_READ_WRITE_TOKEN") as refused:
        VercelBlobStore(token)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["", "vercel.com/api/blob", "ftp://vercel.com", "http://", "http://a:b@c", "http://a:x"]
)
def test_an_api_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(EndpointWrong):
        VercelBlobStore(new_token(), api_url=url)


def test_an_access_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(StoreMisconfigured, match="'secret'"):
        VercelBlobStore(new_token(), access="secret")


async def test_a_right_store_passes_the_check_empty_and_not(
    store: VercelBlobStore, put: Put
) -> None:
    await store.check()
    await put("a")
    await store.check()


async def test_a_store_of_the_other_access_is_found_at_the_check(
    rig: VercelRig, proxy: FaultProxy, put: Put
) -> None:
    await put("a")
    async with opened(rig.token, proxy.url, access="public") as store:
        with pytest.raises(StoreMisconfigured, match="not public"):
            await store.check()


async def test_another_store_is_named_as_missing(rig: VercelRig) -> None:
    async with opened(new_token("other"), rig.api_url) as store:
        with pytest.raises(BucketMissing):
            await store.check()


async def test_a_host_that_speaks_something_else_is_named(rig: VercelRig) -> None:
    for url in (f"{rig.api_url}/wrong", rig.api_url.replace("http", "https")):
        async with opened(rig.token, url) as store:
            with pytest.raises(EndpointWrong):
                await store.check()
            with pytest.raises(EndpointWrong):
                await keys(store)


async def test_a_host_that_does_not_exist_is_named(rig: VercelRig) -> None:
    async with opened(rig.token, "http://nowhere.invalid") as store:
        for call in (store.check, partial(keys, store), partial(read, store, "a")):
            with pytest.raises(EndpointWrong, match=r"nowhere\.invalid"):
                await call()


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"blobs": 1}'])
async def test_an_answer_that_makes_no_sense_is_none_of_the_api(
    store: VercelBlobStore, proxy: FaultProxy, body: bytes
) -> None:
    proxy.schedule = lambda request: Answer(200, body=body)
    for call in (store.check, partial(keys, store), partial(store.head, "a")):
        with pytest.raises(EndpointWrong):
            await call()


async def test_nothing_is_read_from_the_environment(
    rig: VercelRig, monkeypatch: pytest.MonkeyPatch, put: Put, store: VercelBlobStore
) -> None:
    for name, value in {
        "BLOB_READ_WRITE_TOKEN": STRANGER,
        "VERCEL_OIDC_TOKEN": SECRET,
        "BLOB_STORE_ID": "another",
        "VERCEL_BLOB_API_URL": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    await store.check()
    await put("a")
    assert await read(store, "a") == b"content"
    assert await keys(store) == ["a"]


# --- errors ---------------------------------------------------------------------------------------


ERRORS: dict[tuple[int, str], tuple[type[StorageError], bool, bool]] = {
    (403, "forbidden"): (CredentialsRefused, False, False),
    (401, ""): (CredentialsRefused, False, False),
    (404, "store_not_found"): (BucketMissing, False, False),
    (400, "store_not_found"): (BucketMissing, False, False),
    (403, "store_suspended"): (PermissionMissing, False, False),
    (400, "store_suspended"): (PermissionMissing, False, False),
    (402, ""): (PermissionMissing, False, False),
    (404, "not_found"): (ObjectNotFound, False, False),
    (412, "precondition_failed"): (ObjectChanged, False, False),
    (400, "bad_request"): (StoreUnavailable, False, False),
    (400, "file_too_large"): (StoreUnavailable, False, False),
    (409, ""): (StoreUnavailable, True, False),
    (429, "rate_limited"): (StoreUnavailable, True, True),
    (429, ""): (StoreUnavailable, True, True),
    (500, "internal_server_error"): (StoreUnavailable, True, False),
    (502, ""): (StoreUnavailable, True, False),
    (503, "service_unavailable"): (StoreUnavailable, True, False),
    (504, ""): (StoreUnavailable, True, False),
    (302, ""): (EndpointWrong, False, False),
    (400, "Not A Code <b>"): (StoreUnavailable, False, False),
}


@pytest.mark.parametrize(("answered", "expected"), ERRORS.items(), ids=str)
async def test_errors_are_told_apart_the_same_by_both_clients(
    rig: VercelRig,
    proxy: FaultProxy,
    answered: tuple[int, str],
    expected: tuple[type[StorageError], bool, bool],
) -> None:
    kind, passing, undone = expected
    proxy.schedule = lambda request: error_answer(*answered)
    once = Retrier(RetryPolicy(attempts=1))
    async with opened(rig.token, proxy.url, retrier=once) as store:
        for call in (partial(store.head, "a"), partial(keys, store)):
            with pytest.raises(StorageError) as raised:
                await call()
            error = raised.value
            assert type(error) is kind
            assert "<" not in str(error)
            if isinstance(error, StoreUnavailable):
                assert (error.passing, error.undone) == (passing, undone)


async def test_retry_after_is_obeyed_by_both_clients(rig: VercelRig, proxy: FaultProxy) -> None:
    naps = Naps()
    async with opened(rig.token, proxy.url, retrier=naps.retrier) as store:
        proxy.inject(error_answer(429, "rate_limited", retry_after="7"))
        with pytest.raises(ObjectNotFound):
            await store.head("a")
        proxy.inject(error_answer(429, "rate_limited", retry_after="8"))
        assert await keys(store) == []
    assert naps.seconds == [7, 8]


async def test_a_store_that_is_down_for_a_moment_is_waited_for(
    rig: VercelRig, proxy: FaultProxy
) -> None:
    def up() -> None:
        proxy.down = False

    naps = Naps(up)
    async with opened(rig.token, proxy.url, retrier=naps.retrier) as store:
        for call in (store.check, partial(keys, store)):
            proxy.down = True
            await call()
    assert len(naps.seconds) == 2


async def test_nothing_that_listens_is_undone_and_may_pass(proxy: FaultProxy) -> None:
    proxy.down = True
    once = Retrier(RetryPolicy(attempts=1))
    async with opened(new_token(), proxy.url, retrier=once) as store:
        for call in (store.check, partial(keys, store), partial(read, store, "a")):
            with pytest.raises(StoreUnavailable, match="refuses connections") as failed:
                await call()
            assert (failed.value.passing, failed.value.undone) == (True, True)
