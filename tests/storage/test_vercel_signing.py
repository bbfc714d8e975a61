"""Signed URLs of Vercel Blob, by themselves and in the hands of those who should not have them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from storage.errors import CredentialsRefused, UploadGone
from storage.objects import Part, Retrier, RetryPolicy, SignedRequest
from storage.objects.vercel_blob import VercelBlobStore
from storage.objects.vercel_signing import (
    LONGEST_LIFE,
    Delegation,
    allowed_type,
    delegation_request,
    signed_query,
)
from tests.rig.vercel import STORE, VercelRig, new_token, vercel_rig
from tests.storage.contents import LARGE, WEBM, Put, counting, cut_into, keys, read
from tests.storage.stores import IMPATIENT, Servers

HOUR = timedelta(hours=1)
PART = 6 << 20


class Got(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """A plain HTTP client that knows where the rig is, and nothing else."""

    def __init__(self, rig: VercelRig, session: aiohttp.ClientSession) -> None:
        self._rig = rig
        self._session = session

    async def send(self, signed: SignedRequest, body: bytes | None = None) -> Got:
        url, headers = self._rig.reached(signed.url)
        async with self._session.request(
            signed.method, URL(url, encoded=True), data=body, headers={**signed.headers, **headers}
        ) as answer:
            return Got(answer.status, answer.headers, await answer.read())


@pytest.fixture
def rig(servers: Servers) -> VercelRig:
    servers.vercel.empty()
    return servers.vercel


@pytest_asyncio.fixture
async def store(rig: VercelRig) -> AsyncIterator[VercelBlobStore]:
    store = VercelBlobStore(rig.token, api_url=rig.api_url, retrier=Retrier(IMPATIENT))
    yield store
    await store.close()


@pytest_asyncio.fixture
async def client(rig: VercelRig) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(rig, session)


def changed(signed: SignedRequest, **query: str) -> SignedRequest:
    """The request with other query parameters, "_" for "-"."""
    parts = urlsplit(signed.url)
    new = {name.replace("_", "-"): value for name, value in query.items()}
    return replace(
        signed, url=parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | new)).geturl()
    )


def parameter(signed: SignedRequest, name: str) -> str:
    return dict(parse_qsl(urlsplit(signed.url).query))[name]


# --- what they are --------------------------------------------------------------------------------


def test_the_canonical_string_is_that_of_the_npm_package() -> None:
    # made with presignUrl() of @vercel/blob 2.8.0 and the same key
    delegation = Delegation("eyJ9.c2ln", "key", 1_800_000_000_000)
    limits = {
        "maximum-size-in-bytes": "10",
        "allow-overwrite": "true",
        "allowed-content-types": "video/webm",
    }
    query = signed_query(delegation, "put", "a/ü b.webm", limits)
    assert query["vercel-blob-signature"] == "2CIY2H4O1GowMtOn5FmxATbVwkqcIqXuN0x0iU8uto8"


def test_a_delegation_lasts_seven_days_at_most() -> None:
    for life, seconds in ((HOUR, 3600), (timedelta(days=8), LONGEST_LIFE.total_seconds())):
        asked = delegation_request("get", "a", life, 1000.5, {})
        assert asked["validUntil"] == 1_000_500 + seconds * 1000


@pytest.mark.parametrize(
    ("content_type", "allowed"),
    [
        ("video/webm", "video/webm"),
        ('video/webm;codecs="vp8,opus"', "video/*"),
        ("text/plain; charset=utf-8", "text/*"),
    ],
)
def test_a_type_with_parameters_is_allowed_as_its_family(content_type: str, allowed: str) -> None:
    assert allowed_type(content_type) == allowed


async def test_it_says_when_it_expires_and_names_vercels_own_host(store: VercelBlobStore) -> None:
    signed = await store.sign_get("a/ü.webm", HOUR)
    assert abs(signed.expires_at - datetime.now(UTC) - HOUR) < timedelta(minutes=1)
    assert signed.url.startswith(
        f"https://{STORE.lower()}.private.blob.vercel-storage.com/a/%C3%BC.webm?"
    )
    assert signed.headers == {}


async def test_a_download_is_saved_rather_than_shown(
    store: VercelBlobStore, client: Client, put: Put
) -> None:
    await put("room/a.webm")
    for download, expected in ((False, "inline"), (True, "attachment")):
        signed = await store.sign_get("room/a.webm", HOUR, download=download)
        got = await client.send(signed)
        assert got.body == b"content"
        assert got.headers["Content-Disposition"].startswith(expected)


async def test_another_type_than_signed_is_refused(store: VercelBlobStore, client: Client) -> None:
    signed = await store.sign_put("a", HOUR, WEBM)
    html = replace(signed, headers={**signed.headers, "x-content-type": "text/html"})
    assert (await client.send(html, b"<script>")).status == 400
    assert await keys(store) == []
    assert (await client.send(signed, b"video")).status == 200
    assert (await store.head("a")).content_type == WEBM


async def test_what_a_plain_client_puts_replaces_and_is_not_cached_for_long(
    store: VercelBlobStore, client: Client, put: Put
) -> None:
    await put("a")
    signed = await store.sign_put("a", HOUR, WEBM)
    assert (await client.send(signed, b"new")).status == 200
    got = await client.send(await store.sign_get("a", HOUR))
    assert (got.body, got.headers["Cache-Control"]) == (b"new", "max-age=60")


async def test_parts_are_sent_by_a_plain_client_and_make_the_object(
    store: VercelBlobStore, client: Client
) -> None:
    content = counting(LARGE)
    upload_id = await store.begin("a", WEBM)
    parts = []
    for number, part in enumerate(cut_into(content, PART), start=1):
        signed = await store.sign_part("a", upload_id, number, HOUR)
        got = await client.send(signed, part)
        parts.append(Part(number, etag_of(got), len(part)))

    made = await store.complete("a", upload_id, parts[::-1])

    assert (made.size, made.content_type) == (LARGE, WEBM)
    assert await read(store, "a") == content
    assert await store.complete("a", upload_id, parts) == made
    late = await store.sign_part("a", upload_id, 1, HOUR)
    assert (await client.send(late, b"late")).status == 404


def etag_of(got: Got) -> str:
    """Of a part: in the body, unlike with other stores."""
    assert got.status == 200
    etag: str = aiohttp.typedefs.DEFAULT_JSON_DECODER(got.body.decode())["etag"]
    return etag


async def test_a_part_whose_url_has_expired_is_signed_again(
    store: VercelBlobStore, client: Client, rig: VercelRig
) -> None:
    upload_id = await store.begin("a", WEBM)
    signed = await store.sign_part("a", upload_id, 1, timedelta(minutes=5))
    rig.move_clock(timedelta(minutes=6))
    assert (await client.send(signed, b"part")).status == 403
    signed = await store.sign_part("a", upload_id, 1, timedelta(minutes=15))
    etag = etag_of(await client.send(signed, b"part"))
    await store.complete("a", upload_id, [Part(1, etag, 4)])
    assert await read(store, "a") == b"part"


async def test_an_upload_that_nobody_began_takes_no_part(
    store: VercelBlobStore, client: Client
) -> None:
    upload_id = await store.begin("a", WEBM)
    with pytest.raises(UploadGone):
        await store.complete("b", upload_id, [Part(1, '"etag"')])
    for_b = await store.sign_part("b", upload_id, 1, HOUR)
    assert (await client.send(for_b, b"part")).status == 404


# --- in the wrong hands ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vercel-blob-delegation", "vercel-blob-signature"])
async def test_a_tampered_signature_opens_nothing(
    store: VercelBlobStore, client: Client, put: Put, name: str
) -> None:
    await put("a")
    reading = await store.sign_get("a", HOUR)
    writing = await store.sign_put("a", HOUR, WEBM)
    for signed in (reading, writing):
        right = parameter(signed, name)
        for wrong in ("", right[:-1], "A" + right[1:], right.swapcase()):
            if wrong != right:
                got = await client.send(changed(signed, **{name: wrong}), b"evil")
                assert got.status == 403, wrong
    assert await read(store, "a") == b"content"


async def test_limits_can_not_be_lifted_or_added(store: VercelBlobStore, client: Client) -> None:
    signed = await store.sign_put("a", HOUR, WEBM, size=3)
    for limit in (
        {"vercel_blob_maximum_size_in_bytes": "1000000"},
        {"vercel_blob_allowed_content_types": "text/html"},
        {"vercel_blob_cache_control_max_age": "31536000"},
        {"vercel_blob_valid_until": "9999999999999"},
        {"vercel_blob_maximum_size_in_bytes": ""},
    ):
        assert (await client.send(changed(signed, **limit), b"evil")).status == 403, limit
    assert (await client.send(signed, b"evil")).status == 400
    assert await keys(store) == []


async def test_an_expired_url_opens_nothing(
    store: VercelBlobStore, client: Client, put: Put, rig: VercelRig
) -> None:
    await put("a")
    reading = await store.sign_get("a", HOUR)
    writing = await store.sign_put("a", HOUR, WEBM)
    rig.move_clock(HOUR - timedelta(minutes=1))
    assert (await client.send(reading)).status == 200
    rig.move_clock(HOUR + timedelta(seconds=1))
    assert (await client.send(reading)).status == 403
    assert (await client.send(writing, b"evil")).status == 403
    assert await read(store, "a") == b"content"


async def test_a_url_for_one_key_opens_no_other(
    store: VercelBlobStore, client: Client, put: Put
) -> None:
    await put("a")
    await put("b", b"other")
    reading = await store.sign_get("a", HOUR)
    writing = await store.sign_put("a", HOUR, WEBM)
    assert (
        await client.send(replace(reading, url=reading.url.replace("/a?", "/b?")))
    ).status == 403
    assert (await client.send(changed(writing, pathname="b"), b"evil")).status == 403
    assert await read(store, "b") == b"other"


async def test_a_url_for_one_operation_does_no_other(
    store: VercelBlobStore, client: Client, put: Put
) -> None:
    await put("a")
    reading = await store.sign_get("a", HOUR)
    writing = await store.sign_put("a", HOUR, WEBM)
    to_put = replace(writing, url=f"{writing.url.split('?')[0]}?pathname=a&{query_of(reading)}")
    assert (await client.send(to_put, b"evil")).status == 403
    to_get = replace(reading, url=f"{reading.url.split('?')[0]}?{query_of(writing)}")
    assert (await client.send(to_get)).status == 403
    for method, statuses in {"HEAD": {403}, "DELETE": {405}, "PUT": {405}}.items():
        assert (await client.send(replace(reading, method=method))).status in statuses
    for method, path in (("POST", "/delete"), ("POST", "/signed-token"), ("GET", "/")):
        url = writing.url.replace("/?", f"{path}?")
        assert (await client.send(replace(writing, method=method, url=url))).status == 403
    assert await read(store, "a") == b"content"


def query_of(signed: SignedRequest) -> str:
    return urlsplit(signed.url).query


async def test_a_url_signed_by_another_stores_token_opens_nothing(
    store: VercelBlobStore, client: Client, put: Put
) -> None:
    await put("a")
    with vercel_rig(new_token()) as others:  # of a store with the same name
        forger = VercelBlobStore(others.token, api_url=others.api_url)
        reading = await forger.sign_get("a", HOUR)
        writing = await forger.sign_put("a", HOUR, WEBM)
        await forger.close()
    own = await store.sign_put("a", HOUR, WEBM)
    forged = replace(own, url=f"{own.url.split('?')[0]}?{query_of(writing)}")
    assert (await client.send(reading)).status == 403
    assert (await client.send(forged, b"evil")).status == 403
    assert await read(store, "a") == b"content"


async def test_a_wrong_token_signs_nothing(rig: VercelRig) -> None:
    once = Retrier(RetryPolicy(attempts=1))
    stranger = VercelBlobStore(new_token(), api_url=rig.api_url, retrier=once)
    with pytest.raises(CredentialsRefused):
        await stranger.sign_get("a", HOUR)
    with pytest.raises(CredentialsRefused):
        await stranger.sign_put("a", HOUR, WEBM)
    await stranger.close()
