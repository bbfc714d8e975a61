"""Signed requests and forms: used by a plain HTTP client, and by attackers who hold one.

Every server here checks what was signed: the S3 gateway, the front of the GCS emulator, the fake of
Vercel Blob and our own server for the local store.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
import pytest_asyncio

from storage.errors import BadKey, StoreMisconfigured
from storage.objects import SignedRequest
from tests.storage.awkward_keys import AWKWARD_KEYS, HOSTILE_KEYS
from tests.storage.contents import LONG, WEBM, counting, keys, read, streamed
from tests.storage.signing_stores import (
    FORM_SIGNERS,
    REFUSED,
    SIGNERS,
    Signing,
    expiry_of,
    signing_store,
    with_url,
)
from tests.storage.stores import Servers

HOUR = timedelta(hours=1)
MOMENT = timedelta(seconds=1)
SIGNATURE_NAME = re.compile(r"(signature|^sig)=", re.IGNORECASE)

BY_FORM = pytest.mark.parametrize("kind", FORM_SIGNERS)
# Vercel Blob can't bind a name or a type for reading, nor an exact size for writing.
BOUND = pytest.mark.parametrize("kind", [kind for kind in SIGNERS if kind != "vercel"])


@pytest.fixture(params=SIGNERS)
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest_asyncio.fixture
async def signing(kind: str, servers: Servers, root: Path) -> AsyncIterator[Signing]:
    async with signing_store(kind, servers, root) as opened:
        yield opened


async def put(signing: Signing, key: str, content: bytes = b"content") -> None:
    await signing.store.put_stream(key, streamed(content), WEBM)


def signature_of(signed: SignedRequest) -> str:
    """The signature in the query, as it stands there."""
    pairs = urlsplit(signed.url).query.split("&")
    values = [pair.partition("=")[2] for pair in pairs if SIGNATURE_NAME.search(pair)]
    assert len(values) == 1
    return values[0]


def other(signature: str) -> str:
    """One that differs in a character."""
    return signature[:-5] + ("0" if signature[-5] != "0" else "1") + signature[-4:]


# --- reading --------------------------------------------------------------------------------------


async def test_whoever_has_the_link_reads_the_object_and_ranges_of_it(signing: Signing) -> None:
    content = counting(LONG)
    await put(signing, "room/a.webm", content)
    signed = await signing.signer.sign_get("room/a.webm", HOUR)
    assert signed.method == "GET"
    assert abs(signed.expires_at - datetime.now(UTC) - HOUR) < timedelta(minutes=1)

    whole = await signing.send(signed)
    assert (whole.status, whole.body) == (200, content)
    assert whole.headers["Content-Type"] == WEBM
    part = await signing.send(signed, headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, content[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{LONG}"


@BOUND
async def test_a_browser_hears_the_name_and_the_type(signing: Signing) -> None:
    await put(signing, "room/1234")
    name = 'Entrevista "ñ" 会议.webm'
    shown = await signing.send(
        await signing.signer.sign_get("room/1234", HOUR, file_name=name, content_type="video/mp4")
    )
    assert shown.headers["Content-Type"] == "video/mp4"
    assert shown.headers["Content-Disposition"].startswith("inline;")
    assert f"filename*=UTF-8''{quote(name, safe='')}" in shown.headers["Content-Disposition"]
    saved = await signing.send(
        await signing.signer.sign_get("room/1234", HOUR, file_name=name, download=True)
    )
    assert saved.headers["Content-Type"] == WEBM
    assert saved.headers["Content-Disposition"].startswith("attachment;")
    assert saved.body == b"content"


async def test_a_name_can_not_add_a_header(signing: Signing) -> None:
    await put(signing, "a")
    signed = await signing.signer.sign_get("a", HOUR, file_name='a\r\nX-Evil: 1\0"; x="')
    answer = await signing.send(signed)
    assert answer.status == 200
    assert "X-Evil" not in answer.headers


async def test_links_to_awkward_keys_lead_to_their_objects(signing: Signing) -> None:
    for key in AWKWARD_KEYS.values():
        await put(signing, key, key.encode())
        answer = await signing.send(await signing.signer.sign_get(key, HOUR))
        assert (answer.status, answer.body) == (200, key.encode())


async def test_a_link_to_nothing_finds_nothing(signing: Signing) -> None:
    answer = await signing.send(await signing.signer.sign_get("a", HOUR))
    assert answer.status == 404


async def test_hostile_keys_are_not_signed(signing: Signing, kind: str) -> None:
    for key in HOSTILE_KEYS.values():
        with pytest.raises(BadKey):
            await signing.signer.sign_get(key, HOUR)
        with pytest.raises(BadKey):
            await signing.signer.sign_put(key, HOUR, WEBM)
        with pytest.raises(BadKey):
            await signing.signer.begin(key, WEBM)
        with pytest.raises(BadKey):
            await signing.signer.sign_part(key, "upload", 1, HOUR)
        if kind in FORM_SIGNERS:
            with pytest.raises(BadKey):
                await signing.forms.sign_post(key, HOUR, WEBM, largest=1)


# --- writing --------------------------------------------------------------------------------------


async def test_whoever_has_the_link_puts_the_object(signing: Signing) -> None:
    content = counting(LONG)
    for key in ("room/a.webm", AWKWARD_KEYS["not_latin"]):
        signed = await signing.signer.sign_put(key, HOUR, WEBM, LONG)
        answer = await signing.send(signed, content)
        assert answer.done, answer
        assert await read(signing.store, key) == content
        assert (await signing.store.head(key)).content_type == WEBM


async def test_a_type_with_parameters_is_put_as_it_is(signing: Signing) -> None:
    content_type = 'video/webm;codecs="vp8,opus"'
    answer = await signing.send(await signing.signer.sign_put("a", HOUR, content_type), b"1")
    assert answer.done, answer
    assert (await signing.store.head("a")).content_type == content_type


@BOUND
async def test_another_type_than_signed_is_refused(signing: Signing) -> None:
    signed = await signing.signer.sign_put("a", HOUR, WEBM)
    answer = await signing.send(signed, b"<script>", {"Content-Type": "text/html"})
    assert answer.status in REFUSED
    assert await keys(signing.store) == []


async def test_a_body_larger_than_signed_is_refused(signing: Signing) -> None:
    signed = await signing.signer.sign_put("a", HOUR, WEBM, 1000)
    answer = await signing.send(signed, bytes(1001))
    assert 400 <= answer.status < 500, answer
    assert await keys(signing.store) == []


@BOUND
async def test_a_body_smaller_than_signed_is_refused(signing: Signing) -> None:
    signed = await signing.signer.sign_put("a", HOUR, WEBM, 1000)
    answer = await signing.send(signed, bytes(999))
    assert 400 <= answer.status < 500, answer
    assert await keys(signing.store) == []


# --- attackers who hold a link --------------------------------------------------------------------


async def test_a_signature_with_one_other_character_opens_nothing(signing: Signing) -> None:
    await put(signing, "a")
    reading = await signing.signer.sign_get("a", HOUR)
    writing = await signing.signer.sign_put("a", HOUR, WEBM)
    for signed in (reading, writing):
        signature = signature_of(signed)
        answer = await signing.send(
            with_url(signed, signature, other(signature)), b"evil" if signed is writing else None
        )
        assert answer.status in REFUSED, answer
        without = await signing.send(with_url(signed, signature, ""), None)
        assert without.status in REFUSED, without
    assert await read(signing.store, "a") == b"content"


async def test_a_link_for_one_key_opens_no_other(signing: Signing) -> None:
    await put(signing, "room/mine")
    await put(signing, "room/your")
    reading = await signing.signer.sign_get("room/mine", HOUR)
    writing = await signing.signer.sign_put("room/mine", HOUR, WEBM)
    elsewhere = with_url(with_url(reading, "mine", "your"), "your", "your")
    assert (await signing.send(elsewhere)).status in REFUSED
    assert (await signing.send(with_url(writing, "mine", "your"), b"evil")).status in REFUSED
    climbing = with_url(reading, "room/mine", "room/mine/../your")
    assert (await signing.send(climbing)).status in REFUSED | {404}
    assert await read(signing.store, "room/your") == b"content"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
async def test_a_link_for_reading_writes_nothing(signing: Signing, method: str) -> None:
    await put(signing, "a")
    reading = await signing.signer.sign_get("a", HOUR)
    answer = await signing.send(replace(reading, method=method), b"evil", {"Content-Type": WEBM})
    assert 400 <= answer.status < 500, answer
    assert await read(signing.store, "a") == b"content"
    assert await keys(signing.store) == ["a"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
async def test_a_link_for_writing_reads_and_deletes_nothing(signing: Signing, method: str) -> None:
    await put(signing, "a", b"secret content")
    writing = await signing.signer.sign_put("a", HOUR, WEBM)
    answer = await signing.send(replace(writing, method=method))
    assert not answer.done, answer
    assert b"secret content" not in answer.body
    assert await read(signing.store, "a") == b"secret content"


async def test_a_longer_life_is_not_for_the_client_to_choose(signing: Signing) -> None:
    await put(signing, "a")
    signed = await signing.signer.sign_get("a", HOUR)
    limits = {
        name: value
        for name, value in parse_qsl(urlsplit(signed.url).query)
        if name.lower().endswith("expires") and value.isdigit()
    }
    if signing.kind == "vercel":  # whose limit is inside the delegation, which has its own test
        assert limits == {}
        return
    ((name, value),) = limits.items()
    longer = with_url(signed, f"{name}={value}", f"{name}={int(value) + 1}")
    assert (await signing.send(signed)).status == 200
    assert (await signing.send(longer)).status in REFUSED


async def test_an_expired_link_opens_nothing(signing: Signing) -> None:
    await put(signing, "a")
    reading = await signing.signer.sign_get("a", MOMENT)
    writing = await signing.signer.sign_put("a", MOMENT, WEBM)
    await expiry_of(writing)
    assert (await signing.send(reading)).status in REFUSED
    assert (await signing.send(writing, b"evil")).status in REFUSED
    assert await read(signing.store, "a") == b"content"


async def test_a_link_of_somebody_with_another_secret_opens_nothing(signing: Signing) -> None:
    await put(signing, "a")
    if signing.kind == "vercel":  # who signs with a key that it has to ask for
        with pytest.raises(StoreMisconfigured):
            await signing.liar.sign_get("a", HOUR)
        return
    reading = await signing.liar.sign_get("a", HOUR)
    writing = await signing.liar.sign_put("a", HOUR, WEBM)
    assert (await signing.send(reading)).status in REFUSED
    assert (await signing.send(writing, b"evil")).status in REFUSED
    assert await read(signing.store, "a") == b"content"


# --- forms ----------------------------------------------------------------------------------------


@BY_FORM
async def test_a_form_puts_an_object_of_an_allowed_size(signing: Signing) -> None:
    for key in ("room/a.webm", AWKWARD_KEYS["arabic"], AWKWARD_KEYS["plus_and_percent"]):
        form = await signing.forms.sign_post(key, HOUR, WEBM, largest=LONG, smallest=10)
        for size in (10, LONG):
            answer = await signing.post(form, counting(size))
            assert answer.done, answer
            assert await read(signing.store, key) == counting(size)
        assert (await signing.store.head(key)).content_type == WEBM
    assert len(await keys(signing.store)) == 3


@BY_FORM
@pytest.mark.parametrize("size", [9, 1001])
async def test_a_form_s_file_of_another_size_is_refused(signing: Signing, size: int) -> None:
    form = await signing.forms.sign_post("a", HOUR, WEBM, largest=1000, smallest=10)
    answer = await signing.post(form, bytes(size))
    assert 400 <= answer.status < 500, answer
    assert await keys(signing.store) == []


@BY_FORM
@pytest.mark.parametrize(
    "changes",
    [{"key": "room/your"}, {"key": "room/mine/your"}, {"key": ""}, {"Content-Type": "text/html"}],
    ids=["another_key", "a_key_below", "no_key", "another_type"],
)
async def test_a_form_for_one_object_makes_no_other(
    signing: Signing, changes: dict[str, str]
) -> None:
    form = await signing.forms.sign_post("room/mine", HOUR, WEBM, largest=1000)
    answer = await signing.post(form, b"evil", changes)
    assert 400 <= answer.status < 500, answer
    assert await keys(signing.store) == []


@BY_FORM
@pytest.mark.parametrize("key", ["room/${filename}", "room/${filename}/mine"])
async def test_a_form_for_a_key_that_looks_like_a_template_makes_no_other(
    signing: Signing, key: str
) -> None:
    # S3 puts the file's name there, whatever was signed; then there can be no such form
    with suppress(BadKey):
        form = await signing.forms.sign_post(key, HOUR, WEBM, largest=1000)
        await signing.post(form, b"evil", {"key": "room/anything"})
        await signing.post(form, b"content")
    assert set(await keys(signing.store)) <= {key}


@BY_FORM
async def test_a_form_with_a_policy_of_the_client_s_own_is_refused(signing: Signing) -> None:
    form = await signing.forms.sign_post("a", HOUR, WEBM, largest=10)
    if signing.kind == "local":  # whose limits are fields
        changes = {"largest": "1000"}
        assert "largest" in form.fields
    else:
        policy = json.loads(base64.b64decode(form.fields["policy"]))
        for condition in policy["conditions"]:
            if isinstance(condition, list) and condition[0] == "content-length-range":
                condition[2] = 1000
        changes = {"policy": base64.b64encode(json.dumps(policy).encode()).decode()}
    answer = await signing.post(form, bytes(100), changes)
    assert answer.status in REFUSED, answer
    assert await keys(signing.store) == []


@BY_FORM
async def test_an_expired_form_is_refused(signing: Signing) -> None:
    form = await signing.forms.sign_post("a", MOMENT, WEBM, largest=1000)
    await expiry_of(form)
    answer = await signing.post(form, b"evil")
    assert answer.status in REFUSED, answer
    assert await keys(signing.store) == []
