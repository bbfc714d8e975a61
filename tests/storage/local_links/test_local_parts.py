"""Uploads in parts into the local store."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from storage.errors import (
    BadKey,
    BadParts,
    LinkInvalid,
    ObjectNotFound,
    UploadGone,
)
from storage.objects import LocalStore, Part
from storage.objects.local_grants import Grant
from storage.objects.local_signing import LocalSigner
from tests.storage.local_links.holding import (
    LIFE,
    SMALLEST,
    WEBM,
    Clock,
    Send,
    incoming,
    opened,
    part,
    read,
    unfinished,
)
from tests.storage.streams import Failed, HeldStream, blocks_of


async def test_an_object_of_parts(
    signer: LocalSigner, local: LocalStore, root: Path, send: Send
) -> None:
    upload_id = await signer.begin("a.webm", WEBM, {"room": "standup"})
    last = await send(upload_id, 7, b"end")
    first = await send(upload_id, 1, part(b"1"))
    await send(upload_id, 3, part(b"x"))
    second = await send(upload_id, 3, part(b"3", SMALLEST + 1))
    with pytest.raises(ObjectNotFound):
        await local.head("a.webm")

    made = await signer.complete("a.webm", upload_id, [last, first, second])

    assert await read(local, "a.webm") == part(b"1") + part(b"3", SMALLEST + 1) + b"end"
    assert made == await local.head("a.webm")
    assert (made.size, made.content_type) == (2 * SMALLEST + 4, WEBM)
    assert [entry.key async for entry in local.list()] == ["a.webm"]
    assert sorted(os.listdir(root / ".incoming" / upload_id)) == ["completed", "upload"]


async def test_an_object_of_one_small_part(
    signer: LocalSigner, local: LocalStore, send: Send
) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    sent = await send(upload_id, 10_000, b"")
    assert (await signer.complete("a.webm", upload_id, [sent])).size == 0


async def test_an_etag_as_it_was_in_a_header(signer: LocalSigner, send: Send) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    sent = await send(upload_id, 1, b"x")
    await signer.complete("a.webm", upload_id, [Part(1, f'"{sent.etag.upper()}"')])


async def test_completing_again_is_the_same(
    signer: LocalSigner, local: LocalStore, send: Send
) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    sent = await send(upload_id, 1, b"x")
    made = await signer.complete("a.webm", upload_id, [sent])
    assert await signer.complete("a.webm", upload_id, [sent]) == made
    with pytest.raises(UploadGone):
        await signer.complete("a.webm", upload_id, [Part(2, sent.etag)])
    with pytest.raises(UploadGone):
        await send(upload_id, 2, b"too late")
    await signer.abort("a.webm", upload_id)
    assert await read(local, "a.webm") == b"x"
    await local.delete("a.webm")
    with pytest.raises(UploadGone):
        await signer.complete("a.webm", upload_id, [sent])


async def test_completing_twice_at_once(signer: LocalSigner, send: Send) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    parts = [await send(upload_id, 1, part(b"1")), await send(upload_id, 2, part(b"2"))]
    made = await asyncio.gather(*(signer.complete("a.webm", upload_id, parts) for _ in range(5)))
    assert len({(info.size, info.modified_at) for info in made}) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [Part(1, "0" * 64)],
        [Part(2, "")],
        [Part(1, "1"), Part(1, "1")],
        [Part(0, "1")],
        [Part(10_001, "1")],
        [Part(-1, "../1")],
    ],
    ids=["none", "other_etag", "never_sent", "twice", "zero", "too_many", "below_zero"],
)
async def test_parts_that_make_no_object(
    signer: LocalSigner, local: LocalStore, root: Path, send: Send, wrong: list[Part]
) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    sent = await send(upload_id, 1, b"x")
    with pytest.raises(BadParts):
        await signer.complete("a.webm", upload_id, wrong)
    assert incoming(root) == [upload_id]
    assert (await signer.complete("a.webm", upload_id, [sent])).size == 1


async def test_a_part_that_is_too_small_and_not_the_last(signer: LocalSigner, send: Send) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    parts = [await send(upload_id, 1, part(b"1", SMALLEST - 1)), await send(upload_id, 2, b"2")]
    with pytest.raises(BadParts, match="part 1"):
        await signer.complete("a.webm", upload_id, parts)


@pytest.mark.parametrize("number", [0, -1, 10_001])
async def test_a_number_that_no_part_has(signer: LocalSigner, number: int) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    with pytest.raises(BadParts):
        await signer.sign_part("a.webm", upload_id, number, LIFE)


async def test_a_key_that_is_a_folder_by_now(
    signer: LocalSigner, local: LocalStore, root: Path, send: Send
) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    sent = await send(upload_id, 1, b"x")
    await local.put_stream("a.webm/b", blocks_of(b""), WEBM)
    with pytest.raises(BadKey):
        await signer.complete("a.webm", upload_id, [sent])
    assert await unfinished(signer) == ["a.webm"]


async def test_an_upload_that_was_aborted_is_gone(
    signer: LocalSigner, root: Path, send: Send
) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    sent = await send(upload_id, 1, b"x")
    await signer.abort("a.webm", upload_id)
    await signer.abort("a.webm", upload_id)
    assert incoming(root) == []
    for call in (
        signer.sign_part("a.webm", upload_id, 1, LIFE),
        signer.complete("a.webm", upload_id, [sent]),
    ):
        with pytest.raises(UploadGone):
            await call


async def test_a_part_that_is_under_way_while_its_upload_is_aborted(
    signer: LocalSigner, root: Path
) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    grant = opened(signer, await signer.sign_part("a.webm", upload_id, 1, LIFE))
    stream = HeldStream(b"x" * (1 << 20))
    receiving = asyncio.ensure_future(signer.receive_part(grant, stream))
    await stream.asked_for_more.wait()
    await signer.abort("a.webm", upload_id)
    stream.end()
    with pytest.raises(UploadGone):
        await receiving
    assert incoming(root) == []


async def test_a_part_that_fails_leaves_the_one_before(
    signer: LocalSigner, local: LocalStore, root: Path, send: Send
) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    sent = await send(upload_id, 1, b"first")
    grant = opened(signer, await signer.sign_part("a.webm", upload_id, 1, LIFE))
    with pytest.raises(Failed):
        await signer.receive_part(grant, blocks_of(b"x" * (1 << 20), Failed()))
    assert incoming(root) == [upload_id]
    await signer.complete("a.webm", upload_id, [sent])
    assert await read(local, "a.webm") == b"first"


async def test_unfinished_uploads_are_found(
    signer: LocalSigner, root: Path, clock: Clock, send: Send
) -> None:
    begun = {}
    for key in ("b/2", "a.webm", "b/1"):
        begun[key] = await signer.begin(key, WEBM)
        clock.now += 60
    found = [upload async for upload in signer.unfinished()]
    assert [(upload.key, upload.upload_id) for upload in found] == sorted(begun.items())
    assert found[0].begun_at == datetime.fromtimestamp(clock.now - 120, UTC)
    assert await unfinished(signer, "b") == ["b/1", "b/2"]
    assert await unfinished(signer, "../") == []
    sent = await send(begun["a.webm"], 1, b"x")
    await signer.complete("a.webm", begun["a.webm"], [sent])
    await signer.abort("b/1", begun["b/1"])
    assert await unfinished(signer) == ["b/2"]
    (root / ".incoming" / begun["b/2"] / "upload").write_bytes(b"{")
    assert await unfinished(signer) == []


async def test_a_start_keeps_uploads_and_removes_what_is_left_of_them(
    signer: LocalSigner, local: LocalStore, root: Path, send: Send
) -> None:
    old = time.time() - 90_000
    kept = await signer.begin("kept", WEBM)
    await send(kept, 1, b"x", key="kept")
    over = {age: await signer.begin("a.webm", WEBM) for age in ("young", "old")}
    for upload_id in over.values():
        await signer.complete("a.webm", upload_id, [await send(upload_id, 1, b"x")])
    (root / ".incoming" / over["young"] / "00001").write_bytes(b"left by a crash")
    os.utime(root / ".incoming" / over["old"] / "completed", (old, old))
    for name in ("0.gone", "1.new", "2.new"):
        (root / ".incoming" / name).mkdir()
    os.utime(root / ".incoming" / "1.new", (old, old))
    os.utime(root / ".incoming" / kept, (old, old))

    await LocalStore(root).prepare()

    assert incoming(root) == sorted([kept, over["young"], "2.new"])
    assert sorted(os.listdir(root / ".incoming" / over["young"])) == ["completed", "upload"]
    assert sorted(os.listdir(root / ".incoming" / kept)) == ["00001", "upload"]


async def test_attack_a_part_of_anothers_upload(
    signer: LocalSigner, root: Path, send: Send
) -> None:
    theirs = await signer.begin("a.webm", WEBM)
    sent = await send(theirs, 1, b"theirs")
    with pytest.raises(UploadGone):
        await signer.sign_part("mine", theirs, 1, LIFE)
    with pytest.raises(UploadGone):
        await signer.complete("mine", theirs, [sent])
    await signer.abort("mine", theirs)
    assert await unfinished(signer) == ["a.webm"]
    mine = await signer.begin("mine", WEBM)
    url = urlsplit((await signer.sign_part("mine", mine, 1, LIFE)).url)
    with pytest.raises(LinkInvalid):
        signer.verify("PUT", "mine", parse_qsl(url.query.replace(mine, theirs)))


@pytest.mark.parametrize(
    "upload_id",
    ["", ".", "..", "../objects", "/etc", "0" * 31, "A" * 32, "0" * 32 + "\n", "\0" * 32, "0" * 32],
)
async def test_attack_an_upload_id_that_is_a_path(
    signer: LocalSigner, local: LocalStore, root: Path, upload_id: str
) -> None:
    await local.put_stream("a.webm", blocks_of(b"x"), WEBM)
    for call in (
        signer.sign_part("a.webm", upload_id, 1, LIFE),
        signer.complete("a.webm", upload_id, [Part(1, "0" * 64)]),
        signer.receive_part(Grant("PUT", "a.webm", 0, upload_id=upload_id, part=1), blocks_of()),
    ):
        with pytest.raises(UploadGone):
            await call
    await signer.abort("a.webm", upload_id)
    assert await read(local, "a.webm") == b"x"
    assert incoming(root) == []


async def test_attack_an_object_that_looks_like_an_upload(
    signer: LocalSigner, local: LocalStore, root: Path, send: Send
) -> None:
    real = await signer.begin("a.webm", WEBM)
    sent = await send(real, 1, b"x")
    for name in ("upload", "00001"):
        copied = (root / ".incoming" / real / name).read_bytes()
        await local.put_stream(f"planted/{name}", blocks_of(copied), WEBM)
    for upload_id in ("../planted", str(root / "planted")):
        with pytest.raises(UploadGone):
            await signer.complete("a.webm", upload_id, [sent])
        await signer.abort("a.webm", upload_id)
    assert sorted([entry.key async for entry in local.list()]) == [
        "planted/00001",
        "planted/upload",
    ]
