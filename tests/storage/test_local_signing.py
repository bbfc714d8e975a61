"""Links and uploads in parts of the local store: what they permit, and what survives."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import (
    BadKey,
    BadParts,
    LinkExpired,
    LinkInvalid,
    ObjectNotFound,
    StorageError,
    UploadGone,
)
from storage.objects import LocalStore, Part, SignedRequest
from storage.objects.local_grants import PARAMETERS, Grant, secret_for_objects, signed, verified
from storage.objects.local_signing import LocalSigner
from tests.rig.waiting import until
from tests.storage.streams import Failed, HeldStream, blocks_of

SECRET = b"the secret of the house"
OTHER_SECRET = b"the secret of another house"
LIFE = timedelta(minutes=10)
SMALLEST = 5 << 20
WEBM = "video/webm"

# Receives one part of "a.webm" from standard input and prints its ETag when it is kept.
PART_PROGRAM = """
import asyncio, sys
from pathlib import Path
from storage.objects import LocalStore
from storage.objects.local_grants import Grant
from storage.objects.local_signing import LocalSigner

async def standard_input():
    while block := await asyncio.to_thread(sys.stdin.buffer.read1, 65536):
        yield block

async def main(root, upload_id, number):
    signer = LocalSigner(LocalStore(Path(root)), "", b"x" * 16)
    grant = Grant("PUT", "a.webm", 0, upload_id=upload_id, part=int(number))
    print(await signer.receive_part(grant, standard_input()), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""

COMPLETE_PROGRAM = """
import asyncio, sys
from pathlib import Path
from storage.objects import LocalStore, Part
from storage.objects.local_signing import LocalSigner

root, upload_id, *etags = sys.argv[1:]
signer = LocalSigner(LocalStore(Path(root)), "", b"x" * 16)
parts = [Part(number, etag) for number, etag in enumerate(etags, start=1)]
asyncio.run(signer.complete("a.webm", upload_id, parts))
"""


class Clock:
    """Unix time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def local(root: Path) -> AsyncIterator[LocalStore]:
    store = LocalStore(root)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
def signer(local: LocalStore, clock: Clock) -> LocalSigner:
    return LocalSigner(local, "https://calls.example.com/", SECRET, clock=clock)


async def read(store: LocalStore, key: str) -> bytes:
    return b"".join([block async for block in store.open(key)])


def opened(signer: LocalSigner, request: SignedRequest, method: str | None = None) -> Grant:
    """What this server makes of a link."""
    url = urlsplit(request.url)
    key = unquote(url.path).removeprefix("/objects/")
    return signer.verify(method or request.method, key, parse_qsl(url.query))


# --- links ----------------------------------------------------------------------------------------


async def test_a_link_says_what_it_permits(signer: LocalSigner, clock: Clock) -> None:
    now = int(clock.now)
    request = await signer.sign_get(
        "a/b.webm", LIFE, file_name="höhe & tiefe.webm", content_type="video/mp4", download=True
    )
    assert request.url.startswith("https://calls.example.com/objects/a/b.webm?expires=")
    assert request.expires_at == datetime.fromtimestamp(now + 600, UTC)
    assert opened(signer, request) == Grant(
        "GET", "a/b.webm", now + 600, "video/mp4", file_name="höhe & tiefe.webm", download=1
    )

    request = await signer.sign_put("a", LIFE, WEBM, 7)
    assert request.headers == {"Content-Type": WEBM, "Content-Length": "7"}
    assert opened(signer, request) == Grant("PUT", "a", now + 600, WEBM, 7, 7)

    request = await signer.sign_put("a", LIFE, WEBM)
    assert opened(signer, request) == Grant("PUT", "a", now + 600, WEBM, 0, 5 << 30)


async def test_a_form_says_what_it_permits(signer: LocalSigner, clock: Clock) -> None:
    form = await signer.sign_post("a b", LIFE, WEBM, largest=10, smallest=2)
    assert form.url == "https://calls.example.com/objects"
    assert list(form.fields)[:2] == ["key", "Content-Type"]
    expected = Grant("POST", "a b", int(clock.now) + 600, WEBM, 2, 10)
    assert signer.verify_form(form.fields.items()) == expected


@pytest.mark.parametrize("key", ["%2e%2e/%2Foutside", "комната/会议/🎥.webm", "a +&=#?;b", "..."])
async def test_a_link_keeps_its_key(signer: LocalSigner, key: str) -> None:
    assert opened(signer, await signer.sign_get(key, LIFE)).key == key


async def test_an_address_that_is_known_later(local: LocalStore) -> None:
    signer = LocalSigner(local, lambda: base, SECRET)
    base = "http://localhost:8080"
    assert (await signer.sign_get("a", LIFE)).url.startswith("http://localhost:8080/objects/a?")


async def test_a_link_is_good_until_it_expires(signer: LocalSigner, clock: Clock) -> None:
    request = await signer.sign_get("a", LIFE)
    clock.now += 599
    opened(signer, request)
    clock.now += 1
    with pytest.raises(LinkExpired):
        opened(signer, request)


async def test_links_of_older_secrets_are_good(local: LocalStore, signer: LocalSigner) -> None:
    request = await signer.sign_get("a", timedelta(days=36_500))
    opened(LocalSigner(local, "", OTHER_SECRET, older_secrets=[SECRET]), request)
    with pytest.raises(LinkInvalid):
        opened(LocalSigner(local, "", OTHER_SECRET), request)


def test_a_secret_that_can_be_guessed_is_refused(local: LocalStore) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        LocalSigner(local, "", b"short")


FULL = Grant("PUT", "a", 1000, WEBM, 1, 2, "name", 1, "0" * 32, 3)
KEYS = [secret_for_objects(SECRET)]


def verify(parameters: list[tuple[str, str]], method: str = "PUT", key: str = "a") -> Grant:
    return verified(method, key, parameters, KEYS, 0)


def parameters_of(grant: Grant = FULL) -> dict[str, str]:
    return signed(grant, KEYS[0])


def test_every_constraint_is_carried() -> None:
    assert set(parameters_of()) == {*PARAMETERS, "sig"}
    assert verify(list(parameters_of().items())) == FULL


@pytest.mark.parametrize("name", PARAMETERS)
def test_attack_a_constraint_is_changed(name: str) -> None:
    changed = parameters_of() | {name: "4" if parameters_of()[name].isdigit() else "other"}
    with pytest.raises(LinkInvalid):
        verify(list(changed.items()))


@pytest.mark.parametrize("name", [*PARAMETERS, "sig"])
def test_attack_a_constraint_is_left_out(name: str) -> None:
    fewer = parameters_of()
    del fewer[name]
    with pytest.raises(LinkInvalid):
        verify(list(fewer.items()))


@pytest.mark.parametrize("name", [*PARAMETERS, "sig"])
@pytest.mark.parametrize("first", [True, False])
def test_attack_a_constraint_is_said_twice(name: str, first: bool) -> None:
    said = list(parameters_of().items())
    said.insert(0 if first else len(said), (name, "2"))
    with pytest.raises(LinkInvalid):
        verify(said)


def test_attack_a_value_is_moved_to_another_constraint() -> None:
    said = parameters_of(Grant("PUT", "a", 1000, content_type="x", file_name=""))
    said["name"] = said.pop("type")
    with pytest.raises(LinkInvalid):
        verify(list(said.items()))
    said = parameters_of(Grant("PUT", "a", 1000, smallest=5))
    said["largest"] = said.pop("smallest")
    with pytest.raises(LinkInvalid):
        verify(list(said.items()))


def test_attack_part_of_the_key_is_moved_into_a_constraint() -> None:
    said = list(parameters_of(Grant("GET", 'a", 1000, "b', 1000)).items())
    with pytest.raises(LinkInvalid):
        verify([*said, ("type", "b")], "GET", "a")


def test_attack_a_character_is_written_as_two_halves() -> None:
    said = list(parameters_of(Grant("GET", "🎥", 1000)).items())
    assert verify(said, "GET", "🎥")
    with pytest.raises(LinkInvalid):
        verify(said, "GET", "\ud83c\udfa5")


def test_attack_the_end_of_the_key_becomes_the_beginning_of_a_later_expiry() -> None:
    said = parameters_of(Grant("GET", "a1", 1000))
    with pytest.raises(LinkInvalid):
        verify(list((said | {"expires": "11000"}).items()), "GET", "a")


@pytest.mark.parametrize("text", ["01", "+1", " 1", "1 ", "1_0", "١", "1.0", "-1", "9" * 5000])
def test_attack_a_number_is_written_in_another_way(text: str) -> None:
    for name in ("expires", "smallest", "largest", "part"):
        with pytest.raises(LinkInvalid):
            verify(list((parameters_of() | {name: text}).items()))


@pytest.mark.parametrize("mac", ["", "0" * 64, "é" * 64, "\udc80" * 64, "A" * 64, "0" * 63])
def test_attack_a_signature_is_made_up(mac: str) -> None:
    with pytest.raises(LinkInvalid):
        verify(list((parameters_of() | {"sig": mac}).items()))


def test_attack_an_unknown_parameter() -> None:
    with pytest.raises(LinkInvalid):
        verify([*parameters_of().items(), ("utm_source", "x")])


async def test_attack_another_method(signer: LocalSigner) -> None:
    reading, writing = await signer.sign_get("a", LIFE), await signer.sign_put("a", LIFE, WEBM)
    form = await signer.sign_post("a", LIFE, WEBM, largest=5 << 30)
    for request, method in ((reading, "PUT"), (writing, "GET"), (reading, "POST")):
        with pytest.raises(LinkInvalid):
            opened(signer, request, method)
    for method in ("DELETE", "PATCH", "get"):
        with pytest.raises(LinkInvalid):
            opened(signer, reading, method)
    fields = dict(form.fields)
    key, content_type = fields.pop("key"), fields.pop("Content-Type")
    with pytest.raises(LinkInvalid):
        signer.verify("PUT", key, [("type", content_type), *fields.items()])


async def test_attack_another_key(signer: LocalSigner) -> None:
    url = urlsplit((await signer.sign_get("a/b", LIFE)).url)
    for key in ("a/c", "a", "a/b/", "a//b", "../a/b", "a/b\0", "a/B", ""):
        with pytest.raises(LinkInvalid):
            signer.verify("GET", key, parse_qsl(url.query))


async def test_attack_a_link_of_another_server(local: LocalStore, signer: LocalSigner) -> None:
    with pytest.raises(LinkInvalid):
        opened(signer, await LocalSigner(local, "", OTHER_SECRET).sign_get("a", LIFE))


@pytest.mark.parametrize(
    "key", ["../a", "a/../../b", "/etc/passwd", "a\0b", "", ".incoming/a", "a\\b"]
)
async def test_attack_a_link_to_no_key_is_not_signed(signer: LocalSigner, key: str) -> None:
    for sign in (
        signer.sign_get(key, LIFE),
        signer.sign_put(key, LIFE, WEBM),
        signer.sign_post(key, LIFE, WEBM, largest=1),
        signer.begin(key, WEBM),
        signer.sign_part(key, "0" * 32, 1, LIFE),
        signer.complete(key, "0" * 32, [Part(1, "0" * 64)]),
        signer.abort(key, "0" * 32),
    ):
        with pytest.raises(BadKey):
            await sign


@given(
    key=st.text(),
    content_type=st.text(),
    name=st.text(),
    upload_id=st.text(),
    sizes=st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)),
    part=st.integers(0, 10**15),
)
def test_any_grant_is_carried_whole(
    key: str, content_type: str, name: str, upload_id: str, sizes: tuple[int, int], part: int
) -> None:
    grant = Grant("PUT", key, 1000, content_type, *sizes, name, 0, upload_id, part)
    assert verify(list(signed(grant, KEYS[0]).items()), key=key) == grant


@given(method=st.text(), key=st.text(), said=st.lists(st.tuples(st.text(), st.text())))
def test_any_other_parameters_are_refused(
    method: str, key: str, said: list[tuple[str, str]]
) -> None:
    with pytest.raises(LinkInvalid):
        verify(said, method, key)


# --- uploads in parts -----------------------------------------------------------------------------


Send = Callable[..., Awaitable[Part]]


@pytest.fixture
def send(signer: LocalSigner) -> Send:
    """Send one part; what to name it by at the end."""

    async def send(upload_id: str, number: int, content: bytes, key: str = "a.webm") -> Part:
        request = await signer.sign_part(key, upload_id, number, LIFE)
        etag = await signer.receive_part(opened(signer, request), blocks_of(content))
        return Part(number, etag, len(content))

    return send


def part(fill: bytes, size: int = SMALLEST) -> bytes:
    return fill * size


def incoming(root: Path) -> list[str]:
    return sorted(os.listdir(root / ".incoming"))


async def unfinished(signer: LocalSigner, prefix: str = "") -> list[str]:
    return [upload.key async for upload in signer.unfinished(prefix)]


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


# --- crashes --------------------------------------------------------------------------------------


@asynccontextmanager
async def receiving_process(
    root: Path, upload_id: str, number: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that receives a part; dead (kill -9) at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PART_PROGRAM, str(root), upload_id, str(number)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_kill_9_during_a_part_loses_nothing_that_was_acknowledged(
    signer: LocalSigner, local: LocalStore, root: Path, send: Send
) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    async with receiving_process(root, upload_id, 1) as process:
        etag, _ = await process.communicate(part(b"1"))
    acknowledged = Part(1, etag.decode().strip())
    async with receiving_process(root, upload_id, 2) as process:
        assert process.stdin is not None
        process.stdin.write(part(b"2", SMALLEST - 1))
        await process.stdin.drain()

        def arrived() -> bool:
            return any(path.is_file() for path in (root / ".incoming").iterdir())

        await until(arrived, within=10, every=0.01, what="the part began to arrive")
        process.kill()
        await process.wait()

    assert await LocalStore(root).prepare() == 1
    assert incoming(root) == [upload_id]
    assert await unfinished(signer) == ["a.webm"]
    second = await send(upload_id, 2, part(b"2"))
    await signer.complete("a.webm", upload_id, [acknowledged, second])
    assert await read(local, "a.webm") == part(b"1") + part(b"2")


async def test_kill_9_while_completing_leaves_all_or_nothing_and_completing_again_helps(
    signer: LocalSigner, local: LocalStore, root: Path, send: Send
) -> None:
    upload_id = await signer.begin("a.webm", WEBM)
    parts = [await send(upload_id, number, part(b"%d" % number)) for number in range(1, 8)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMPLETE_PROGRAM, str(root), upload_id),
        *(sent.etag for sent in parts),
    )
    try:
        await until(
            lambda: incoming(root) != [upload_id] or (root / "a.webm").exists(),
            within=10,
            every=0.001,
            what="completing began",
        )
    finally:
        process.kill()
        await process.wait()
    await LocalStore(root).prepare()
    try:
        assert (await local.head("a.webm")).size == 7 * SMALLEST
    except ObjectNotFound:
        assert await unfinished(signer) == ["a.webm"]
    await signer.complete("a.webm", upload_id, parts)
    whole = b"".join(part(b"%d" % number) for number in range(1, 8))
    assert await read(local, "a.webm") == whole


def test_errors_have_stable_codes_of_their_own() -> None:
    kinds: list[type[StorageError]] = [BadParts, LinkInvalid, LinkExpired]
    assert [kind.code for kind in kinds] == ["bad_parts", "link_invalid", "link_expired"]
