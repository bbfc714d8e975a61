"""What Google Cloud Storage's signed requests and forms permit, and nothing else.

The rig verifies them with the public key alone, from Google's description of the signatures; the store
makes them with the private key, through the SDK.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from storage.errors import (
    BadParts,
    CredentialsRefused,
    ObjectNotFound,
    StoreUnavailable,
    UploadGone,
)
from storage.objects import Part, Retrier, RetryPolicy, SignedForm, SignedRequest
from storage.objects.gcs import GcsStore
from tests.rig.faults import Answer, FaultProxy, LoseAnswer, fault_proxy
from tests.rig.gcs import GcsRig, gcs_rig
from tests.rig.gcs_signatures import ServiceAccount
from tests.storage.contents import counting, keys, read, streamed

LIFE = timedelta(minutes=10)
MP4 = "video/mp4"
KEY = "room/a b é%2F.mp4"
SMALLEST = 5 << 20
IMPATIENT = RetryPolicy(attempts=4, first_pause=0.002, longest_pause=0.01)


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


@pytest_asyncio.fixture
async def store(rig: GcsRig, proxy: FaultProxy) -> AsyncIterator[GcsStore]:
    opened = GcsStore(
        rig.bucket,
        credentials=rig.credentials_json,
        endpoint=proxy.url,
        retrier=Retrier(IMPATIENT),
    )
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def stranger(proxy: FaultProxy) -> AsyncIterator[GcsStore]:
    """The same bucket, with the key of another account that calls itself the same."""
    account = ServiceAccount.made(f"{proxy.url}/token")
    opened = GcsStore("rig-bucket", credentials=account.credentials, endpoint=proxy.url)
    yield opened
    await opened.close()


class Sent:
    """An answer to a signed request. `code` is that of a refusal."""

    def __init__(self, answer: aiohttp.ClientResponse, content: bytes) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.content = content
        found = re.search(rb"<Code>(\w+)</Code>", content)
        self.code = found[1].decode() if found else ""


async def send(signed: SignedRequest, content: bytes | None = None, **headers: str) -> Sent:
    """As a client does that has nothing but the permission. `_` in names of headers is `-`."""
    extra = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            signed.method,
            URL(signed.url, encoded=True),
            data=content,
            headers={**signed.headers, **extra},
            skip_auto_headers=("Content-Type",),
        ) as answer,
    ):
        return Sent(answer, await answer.read())


async def submit(form: SignedForm, content: bytes, **fields: str) -> Sent:
    data = aiohttp.FormData()
    for name, value in {**form.fields, **fields}.items():
        data.add_field(name, value)
    data.add_field("file", content, filename="x", content_type="application/octet-stream")
    async with aiohttp.ClientSession() as session, session.post(form.url, data=data) as answer:
        return Sent(answer, await answer.read())


async def put(store: GcsStore, content: bytes = b"content", key: str = KEY) -> None:
    await store.put_stream(key, streamed(content), MP4)


# --- reading --------------------------------------------------------------------------------------


async def test_a_signed_get_reads(store: GcsStore) -> None:
    await put(store)
    signed = await store.sign_get(KEY, LIFE)
    assert (await send(signed)).content == b"content"
    ranged = await send(signed, Range="bytes=1-3")
    assert (ranged.status, ranged.content) == (206, b"ont")


async def test_a_signed_get_says_what_the_file_is_called(store: GcsStore) -> None:
    await put(store)
    signed = await store.sign_get(
        KEY, LIFE, file_name='Тест "1".mp4', content_type="text/plain", download=True
    )
    sent = await send(signed)
    assert sent.status == 200
    assert sent.headers["Content-Type"] == "text/plain"
    assert sent.headers["Content-Disposition"].startswith('attachment; filename="')
    assert sent.headers["Content-Disposition"].endswith(
        "filename*=UTF-8''%D0%A2%D0%B5%D1%81%D1%82%20%221%22.mp4"
    )


async def test_the_end_that_is_said_is_the_end(store: GcsStore, rig: GcsRig) -> None:
    await put(store)
    before = datetime.now(UTC)
    signed = await store.sign_get(KEY, LIFE)
    assert before + LIFE - timedelta(seconds=1) <= signed.expires_at <= datetime.now(UTC) + LIFE
    rig.manners.ahead = LIFE - timedelta(seconds=30)
    assert (await send(signed)).status == 200
    rig.manners.ahead = LIFE + timedelta(seconds=2)
    sent = await send(signed)
    assert (sent.status, sent.code) == (400, "ExpiredToken")


@pytest.mark.parametrize("life", [timedelta(days=30), timedelta(days=-1), timedelta(0)])
async def test_a_life_is_cut_to_what_can_be_signed(store: GcsStore, life: timedelta) -> None:
    await put(store)
    signed = await store.sign_get(KEY, life)
    assert (await send(signed)).status == 200
    assert signed.expires_at <= datetime.now(UTC) + timedelta(days=7)


async def test_signing_asks_nobody(store: GcsStore, proxy: FaultProxy) -> None:
    proxy.forget()
    await store.sign_get(KEY, LIFE)
    await store.sign_post(KEY, LIFE, MP4, largest=1)
    assert proxy.requests == []


async def test_without_a_key_nothing_can_be_signed(rig: GcsRig) -> None:
    store = GcsStore(rig.bucket, endpoint=rig.endpoint)
    with pytest.raises(CredentialsRefused, match="signing needs a service account's key"):
        await store.sign_get(KEY, LIFE)
    await store.close()


TAMPERED = {
    "another_object": ("/room/", "/rooms/"),
    "longer_life": ("X-Goog-Expires=600", "X-Goog-Expires=6000"),
    "later_date": (r"X-Goog-Date=\d{8}", "X-Goog-Date=21990101"),
    "another_account": ("X-Goog-Credential=rig", "X-Goog-Credential=you"),
    "weaker_algorithm": ("GOOG4-RSA-SHA256", "GOOG4-HMAC-SHA256"),
    "another_signature": ("X-Goog-Signature=..", "X-Goog-Signature=00"),
    "no_signature_value": ("X-Goog-Signature=.*", "X-Goog-Signature="),
    "stripped_of_the_signature": ("&X-Goog-Signature=.*", ""),
    "stripped_of_everything": (r"\?.*", ""),
    "one_more_parameter": (r"\?", "?response-content-type=text%2Fhtml&"),
    "a_parameter_twice": (r"\?", "?X-Goog-Expires=604800&"),
}


@pytest.mark.parametrize(("found", "instead"), TAMPERED.values(), ids=TAMPERED.keys())
async def test_attack_tampered_url(store: GcsStore, found: str, instead: str) -> None:
    await put(store)
    await put(store, key=KEY.replace("room", "rooms"))
    signed = await store.sign_get(KEY, LIFE)
    url = re.sub(found, instead, signed.url, count=1)
    assert url != signed.url
    sent = await send(replace(signed, url=url))
    assert sent.status in (400, 403)
    assert sent.code
    assert (await send(signed)).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
async def test_attack_another_method(store: GcsStore, method: str) -> None:
    await put(store)
    signed = await store.sign_get(KEY, LIFE)
    assert (await send(replace(signed, method=method), b"mine")).status == 403
    assert await read(store, KEY) == b"content"


async def test_attack_signed_with_another_key(store: GcsStore, stranger: GcsStore) -> None:
    await put(store)
    sent = await send(await stranger.sign_get(KEY, LIFE))
    assert (sent.status, sent.code) == (403, "SignatureDoesNotMatch")


# --- writing --------------------------------------------------------------------------------------


async def test_a_signed_put_stores(store: GcsStore) -> None:
    signed = await store.sign_put(KEY, LIFE, MP4, 7)
    assert (await send(signed, b"content")).status == 200
    assert await read(store, KEY) == b"content"
    assert (await store.head(KEY)).content_type == MP4


async def test_a_signed_put_may_leave_the_size_open(store: GcsStore) -> None:
    signed = await store.sign_put(KEY, LIFE, MP4)
    for content in (b"", b"content"):
        assert (await send(signed, content)).status == 200
        assert await read(store, KEY) == content


@pytest.mark.parametrize("content", [b"", b"conten", b"contents"])
async def test_attack_another_size(store: GcsStore, content: bytes) -> None:
    signed = await store.sign_put(KEY, LIFE, MP4, 7)
    assert (await send(signed, content)).code in ("EntityTooSmall", "EntityTooLarge")
    assert await keys(store) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "text/html"},
        {"x_goog_content_length_range": "0,99"},
        {"x_goog_acl": "public-read"},
        {"x_goog_meta_a": "b"},
    ],
)
async def test_attack_headers_that_were_not_signed(
    store: GcsStore, headers: dict[str, str]
) -> None:
    signed = await store.sign_put(KEY, LIFE, MP4, 7)
    changed = {name.lower(): value for name, value in signed.headers.items()}
    changed |= {name.lower().replace("_", "-"): value for name, value in headers.items()}
    assert (await send(replace(signed, headers=changed), b"content")).status == 403
    assert await keys(store) == []


# --- forms ----------------------------------------------------------------------------------------


async def test_a_form_stores(store: GcsStore) -> None:
    form = await store.sign_post(KEY, LIFE, MP4, largest=10, smallest=3)
    for content in (b"abc", b"\r\n--\0\xff\r\n\r\n", b"0123456789"):
        assert (await submit(form, content)).status == 204
        assert await read(store, KEY) == content
        assert (await store.head(KEY)).content_type == MP4


@pytest.mark.parametrize("content", [b"ab", b"01234567890"])
async def test_attack_a_form_with_another_size(store: GcsStore, content: bytes) -> None:
    form = await store.sign_post(KEY, LIFE, MP4, largest=10, smallest=3)
    assert (await submit(form, content)).code in ("EntityTooSmall", "EntityTooLarge")
    assert await keys(store) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"key": "another"},
        {"Content-Type": "text/html"},
        {"x-goog-meta-a": "b"},
        {"acl": "public-read"},
        {"x-goog-date": "20300101T000000Z"},
        {"x-goog-signature": "00"},
    ],
)
async def test_attack_a_form_with_other_fields(store: GcsStore, fields: dict[str, str]) -> None:
    form = await store.sign_post(KEY, LIFE, MP4, largest=10)
    assert (await submit(form, b"content", **fields)).status == 403
    assert await keys(store) == []


async def test_attack_a_form_with_another_policy(store: GcsStore) -> None:
    form = await store.sign_post(KEY, LIFE, MP4, largest=3)
    policy = json.loads(base64.b64decode(form.fields["policy"]))
    policy["conditions"] = [
        ["content-length-range", 0, 1 << 40] if isinstance(condition, list) else condition
        for condition in policy["conditions"]
    ]
    forged = base64.b64encode(json.dumps(policy).encode()).decode()
    sent = await submit(form, b"content", policy=forged)
    assert (sent.status, sent.code) == (403, "SignatureDoesNotMatch")
    assert await keys(store) == []


async def test_attack_a_form_that_has_expired(store: GcsStore, rig: GcsRig) -> None:
    form = await store.sign_post(KEY, LIFE, MP4, largest=10)
    rig.manners.ahead = LIFE + timedelta(seconds=2)
    assert form.expires_at <= datetime.now(UTC) + rig.manners.ahead
    assert (await submit(form, b"content")).status == 403
    assert await keys(store) == []


async def test_attack_a_form_signed_with_another_key(store: GcsStore, stranger: GcsStore) -> None:
    form = await stranger.sign_post(KEY, LIFE, MP4, largest=10)
    assert (await submit(form, b"content")).code == "SignatureDoesNotMatch"
    assert await keys(store) == []


# --- parts ----------------------------------------------------------------------------------------


async def send_part(store: GcsStore, upload_id: str, number: int, content: bytes) -> Part:
    sent = await send(await store.sign_part(KEY, upload_id, number, LIFE), content)
    assert sent.status == 200
    return Part(number, sent.headers["ETag"], len(content))


async def test_an_object_in_parts(store: GcsStore) -> None:
    content = counting(2 * SMALLEST + 7)
    upload_id = await store.begin(KEY, MP4, {"made-by": "a test"})
    assert [(upload.key, upload.upload_id) async for upload in store.unfinished("room/")] == [
        (KEY, upload_id)
    ]
    assert [upload async for upload in store.unfinished("rooms/")] == []

    parts = [
        await send_part(store, upload_id, number, content[SMALLEST * (number - 1) :][:SMALLEST])
        for number in (3, 1, 2)
    ]
    assert await keys(store) == []
    info = await store.complete(KEY, upload_id, parts)

    assert info == await store.head(KEY)
    assert (info.size, info.content_type) == (len(content), MP4)
    assert dict(info.metadata) == {"made-by": "a test"}
    assert await read(store, KEY) == content
    assert [upload async for upload in store.unfinished()] == []
    assert await store.complete(KEY, upload_id, parts) == info


async def test_a_part_whose_permission_expired_is_signed_again(
    store: GcsStore, rig: GcsRig
) -> None:
    upload_id = await store.begin(KEY, MP4)
    signed = await store.sign_part(KEY, upload_id, 1, timedelta(minutes=5))
    rig.manners.ahead = timedelta(minutes=6)
    refused = await send(signed, b"content")
    assert (refused.status, refused.code) == (400, "ExpiredToken")

    again = await store.sign_part(KEY, upload_id, 1, LIFE)
    sent = await send(again, b"content")
    await store.complete(KEY, upload_id, [Part(1, sent.headers["ETag"], 7)])
    assert await read(store, KEY) == b"content"


@pytest.mark.parametrize(
    ("found", "instead"),
    [("partNumber=1", "partNumber=2"), ("uploadId=[^&]+", "uploadId=another")],
)
async def test_attack_a_part_for_another_place(store: GcsStore, found: str, instead: str) -> None:
    upload_id = await store.begin(KEY, MP4)
    signed = await store.sign_part(KEY, upload_id, 1, LIFE)
    sent = await send(replace(signed, url=re.sub(found, instead, signed.url)), b"content")
    assert (sent.status, sent.code) == (403, "SignatureDoesNotMatch")
    await store.abort(KEY, upload_id)


async def test_an_aborted_upload_is_over(store: GcsStore) -> None:
    upload_id = await store.begin(KEY, MP4)
    part = await send_part(store, upload_id, 1, b"content")
    await store.abort(KEY, upload_id)
    await store.abort(KEY, upload_id)
    assert [upload async for upload in store.unfinished()] == []
    with pytest.raises(UploadGone):
        await store.complete(KEY, upload_id, [part])
    sent = await send(await store.sign_part(KEY, upload_id, 2, LIFE), b"content")
    assert (sent.status, sent.code) == (404, "NoSuchUpload")


@pytest.mark.parametrize("older", [b"an older object", b""])
async def test_an_aborted_upload_is_not_taken_for_an_older_object(
    store: GcsStore, older: bytes
) -> None:
    await put(store, older)
    upload_id = await store.begin(KEY, MP4)
    part = await send_part(store, upload_id, 1, b"content")
    await store.abort(KEY, upload_id)
    for parts in ([part], [Part(1, part.etag)]):
        with pytest.raises(UploadGone):
            await store.complete(KEY, upload_id, parts)


async def test_parts_that_the_store_does_not_have(store: GcsStore) -> None:
    upload_id = await store.begin(KEY, MP4)
    part = await send_part(store, upload_id, 1, b"content")
    for wrong in (replace(part, etag='"0"'), replace(part, number=2)):
        with pytest.raises(BadParts):
            await store.complete(KEY, upload_id, [wrong])
    with pytest.raises(ObjectNotFound):
        await store.head(KEY)
    await store.abort(KEY, upload_id)


async def test_an_answer_to_complete_that_is_lost(store: GcsStore, proxy: FaultProxy) -> None:
    upload_id = await store.begin(KEY, MP4)
    part = await send_part(store, upload_id, 1, b"content")
    proxy.inject(LoseAnswer(), method="POST", containing="uploadId")
    assert (await store.complete(KEY, upload_id, [part])).size == 7
    assert proxy.count("POST", "uploadId") == 2


async def test_an_error_in_the_text_of_a_200(store: GcsStore, proxy: FaultProxy) -> None:
    """Completing may take minutes, and by then the answer has begun."""
    upload_id = await store.begin(KEY, MP4)
    part = await send_part(store, upload_id, 1, b"content")
    for code in (b"InternalError", b"InvalidPart"):
        error = b"<Error><Code>" + code + b"</Code></Error>"
        proxy.inject(Answer(200, body=error), method="POST", containing="uploadId")
    with pytest.raises(BadParts):
        await store.complete(KEY, upload_id, [part])
    assert proxy.count("POST", "uploadId") == 2
    assert (await store.complete(KEY, upload_id, [part])).size == 7


async def test_a_beginning_that_may_have_happened_is_not_repeated(
    store: GcsStore, proxy: FaultProxy
) -> None:
    proxy.inject(LoseAnswer(), method="POST", containing="uploads")
    with pytest.raises(StoreUnavailable):
        await store.begin(KEY, MP4)
    assert proxy.count("POST", "uploads") == 1
    (left,) = [upload async for upload in store.unfinished()]
    await store.abort(left.key, left.upload_id)


async def test_a_beginning_that_was_refused_is_repeated(store: GcsStore, proxy: FaultProxy) -> None:
    proxy.inject(Answer(503), method="POST", containing="uploads")
    upload_id = await store.begin(KEY, MP4)
    assert proxy.count("POST", "uploads") == 2
    await store.abort(KEY, upload_id)


async def test_unfinished_uploads_on_several_pages(store: GcsStore, rig: GcsRig) -> None:
    rig.manners.page = 2
    begun = {
        (f"a/{number % 3}&", await store.begin(f"a/{number % 3}&", MP4)) for number in range(7)
    }
    found = [(upload.key, upload.upload_id) async for upload in store.unfinished("a/")]
    assert len(found) == 7
    assert set(found) == begun
