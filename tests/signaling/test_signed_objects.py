"""Objects over signed links through this server: what is let in, what is let out, and how."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, FormData, web
from aiohttp.test_utils import TestServer
from yarl import URL

from recorder.diskspace import DiskSpace
from signaling.accesslog import AccessLog
from signaling.http_guard import GuardedRunner
from signaling.metrics import Counters
from signaling.playback import Playback
from signaling.rest import objects
from signaling.rest.objects import received
from signaling.rest.routes import build_application
from signaling.settings import Settings, load_settings
from signaling.stores import open_depots
from storage.objects import LocalStore, Part, SignedForm, SignedRequest
from storage.objects.local_grants import Grant
from storage.objects.local_signing import LocalSigner
from tests.rig.browser import chromium
from tests.rig.waiting import until

SECRET = b"the secret of the house"
LIFE = timedelta(minutes=10)
WEBM = "video/webm"
SMALLEST = 5 << 20
CONTENT = bytes(range(256)) * 1000


class NoCopies:
    """Nobody sends what their browser recorded."""

    def watch_senders(self, is_sending: Callable[[str], bool]) -> None:
        pass


class NoSessions:
    """All forms are of nobody's upload."""

    async def expect_form(self, storage_key: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class FewServices:
    """As much of `Services` as these routes use."""

    local_objects: LocalSigner
    settings: Settings
    playback: Playback
    counters: Counters
    copies: NoCopies
    space: DiskSpace
    uploads: NoSessions = field(default_factory=NoSessions)
    upload_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any

    @property
    def code(self) -> str:
        assert self.json["success"] is False, self.json
        return str(self.json["error"]["code"])


class Clock:
    """Unix time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Desk:
    """The server, and a client that holds links."""

    store: LocalStore
    signer: LocalSigner
    clock: Clock
    counters: Counters
    space: DiskSpace
    url: str
    client: ClientSession

    async def send(self, request: SignedRequest, data: Any = None, **headers: str) -> Answer:
        """The request as it was signed, but for what is said here."""
        said = {name: value for name, value in request.headers.items() if name == "Content-Type"}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask(request.method, request.url, data, said)

    async def post(self, form: SignedForm, file: Any = CONTENT, **changed: str | None) -> Answer:
        """The form with its file last; a field changed to None is left out."""
        data = FormData()
        for name, value in ({**form.fields, **changed}).items():
            if value is not None:
                data.add_field(name, value)
        data.add_field("file", file, filename="a.webm")
        return await self.ask("POST", form.url, data)

    async def ask(
        self, method: str, url: str, data: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        asked = self.client.request(method, URL(url, encoded=True), data=data, headers=headers)
        async with asked as response:
            body = await response.read()
            is_json = response.content_type == "application/json" and body
            return Answer(
                response.status,
                response.headers,
                body,
                await response.json() if is_json else None,
            )

    async def raw(self, sent: bytes) -> bytes:
        """The head of the answer to just these bytes."""
        reader, writer = await asyncio.open_connection(*self.address())
        try:
            writer.write(sent)
            return await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.close()

    async def stall(self, sent: bytes) -> None:
        """Send just these bytes, and cut the connection when the server is at them."""
        _, writer = await asyncio.open_connection(*self.address())
        writer.write(sent)
        await until(self.receiving, within=5, what="the body began to arrive")
        writer.close()
        await until(lambda: not self.receiving(), within=5, what="the body was given up")

    def target(self, request: SignedRequest) -> bytes:
        return request.url.removeprefix(self.url).encode()

    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    async def put(self, key: str, content: bytes = CONTENT, content_type: str = WEBM) -> None:
        async def blocks() -> AsyncIterator[bytes]:
            yield content

        await self.store.put_stream(key, blocks(), content_type)

    async def contents(self) -> dict[str, bytes]:
        return {
            entry.key: self.store.path(entry.key).read_bytes() async for entry in self.store.list()
        }

    def receiving(self) -> bool:
        """Is a body arriving?"""
        return any(path.is_file() for path in (self.store.root / ".incoming").iterdir())

    def incoming(self) -> list[str]:
        return [path.name for path in (self.store.root / ".incoming").iterdir()]


@asynccontextmanager
async def opened_desk(folder: Path) -> AsyncIterator[Desk]:
    store, clock = LocalStore(folder / "store"), Clock()
    await store.prepare()
    signer = LocalSigner(store, lambda: url, SECRET, clock=clock)
    settings = load_settings({"data_dir": str(folder)}, env_file=None)
    playback, space = Playback(settings, open_depots(settings)), DiskSpace(folder, 1)
    services: Any = FewServices(signer, settings, playback, Counters(), NoCopies(), space)
    runner = GuardedRunner(
        build_application(services, (), webroot=folder / "webroot"),
        access_log_class=AccessLog,
        max_line_size=65536,
        max_field_size=65536,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://{}:{}".format(*runner.addresses[0])
    async with ClientSession(auto_decompress=False) as client:
        yield Desk(store, signer, clock, services.counters, space, url, client)
    await runner.cleanup()
    await store.close()


@pytest.fixture
async def desk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Desk]:
    async with opened_desk(tmp_path) as opened:
        yield opened
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# --- reading --------------------------------------------------------------------------------------


async def test_an_object_is_read_with_a_link_and_nothing_else(desk: Desk) -> None:
    await desk.put("room/комната.webm")
    answer = await desk.send(await desk.signer.sign_get("room/комната.webm", LIFE))
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["Content-Type"] == WEBM
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Disposition"].startswith("inline; ")


@pytest.mark.parametrize("key", ["%2e%2e/%2Foutside", "a +&=#?;b%", "...", "~a/.b/-c"])
async def test_an_awkward_key(desk: Desk, key: str) -> None:
    put = await desk.send(await desk.signer.sign_put(key, LIFE, WEBM), CONTENT)
    assert put.status == 200
    assert (await desk.send(await desk.signer.sign_get(key, LIFE))).body == CONTENT
    assert await desk.contents() == {key: CONTENT}


async def test_head(desk: Desk) -> None:
    await desk.put("a")
    link = await desk.signer.sign_get("a", LIFE)
    answer = await desk.ask("HEAD", link.url)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT))


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=100-299", 100, 299), ("bytes=-5", -5, -1), ("bytes=9-", 9, -1)],
)
async def test_ranges(desk: Desk, asked: str, first: int, last: int) -> None:
    await desk.put("a")
    answer = await desk.send(await desk.signer.sign_get("a", LIFE), Range=asked)
    first, last = first % len(CONTENT), last % len(CONTENT)
    assert (answer.status, answer.body) == (206, CONTENT[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(CONTENT)}"


async def test_a_range_past_the_end(desk: Desk) -> None:
    await desk.put("a")
    link = await desk.signer.sign_get("a", LIFE)
    answer = await desk.send(link, Range=f"bytes={len(CONTENT)}-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


async def test_a_download_that_is_resumed_never_mixes_two_versions(desk: Desk) -> None:
    await desk.put("a", b"first version")
    link = await desk.signer.sign_get("a", LIFE)
    old = (await desk.send(link)).headers
    for same in (old["ETag"], old["Last-Modified"]):
        answer = await desk.send(link, Range="bytes=6-", If_Range=same)
        assert (answer.status, answer.body) == (206, b"version")
    await desk.put("a", b"other version, longer")
    for other in (old["ETag"], f"W/{old['ETag']}", '"nonsense"', "nonsense"):
        answer = await desk.send(link, Range="bytes=6-", If_Range=other)
        assert (answer.status, answer.body) == (200, b"other version, longer")


async def test_what_the_client_has_already_is_not_sent_again(desk: Desk) -> None:
    await desk.put("a")
    link = await desk.signer.sign_get("a", LIFE)
    etag = (await desk.send(link)).headers["ETag"]
    assert (await desk.send(link, If_None_Match=etag)).status == 304


@pytest.mark.parametrize(
    ("file_name", "download", "expected"),
    [
        (None, False, "inline; filename=\"b.webm\"; filename*=UTF-8''b.webm"),
        (None, True, "attachment; filename=\"b.webm\"; filename*=UTF-8''b.webm"),
        (
            'höhe";x\r\n.webm',
            True,
            "attachment; filename=\"h_he_;x__.webm\"; filename*=UTF-8''h%C3%B6he%22%3Bx%0D%0A.webm",
        ),
    ],
)
async def test_what_a_browser_saves_it_as(
    desk: Desk, file_name: str | None, download: bool, expected: str
) -> None:
    await desk.put("a/b.webm")
    link = await desk.signer.sign_get("a/b.webm", LIFE, file_name=file_name, download=download)
    assert (await desk.send(link)).headers["Content-Disposition"] == expected


async def test_a_type_that_the_link_says(desk: Desk) -> None:
    await desk.put("a")
    link = await desk.signer.sign_get("a", LIFE, content_type="audio/mp4")
    assert (await desk.send(link)).headers["Content-Type"] == "audio/mp4"


async def test_what_is_not_there(desk: Desk) -> None:
    answer = await desk.send(await desk.signer.sign_get("a", LIFE))
    assert (answer.status, answer.code) == (404, "object_not_found")


async def test_attack_a_neighbour_that_looks_like_a_compressed_form(desk: Desk) -> None:
    await desk.put("a.webm", b"the one that was signed")
    for ending in (".gz", ".br"):
        await desk.put(f"a.webm{ending}", b"another's secret")
    link = await desk.signer.sign_get("a.webm", LIFE)
    answer = await desk.send(link, Accept_Encoding="gzip, br")
    assert answer.body == b"the one that was signed"
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "TEXT/HTML; charset=utf-8",
        "image/svg+xml",
        "application/xhtml+xml",
        "text/xml",
        "application/pdf",
        "multipart/x-mixed-replace;boundary=x",
        "video/../text/html",
        "text/html\r\nX-Evil: 1",
        "",
        "é",
    ],
)
async def test_attack_stored_html(desk: Desk, content_type: str) -> None:
    await desk.put("a.html", b"<script>alert(1)</script>", content_type)
    answer = await desk.send(await desk.signer.sign_get("a.html", LIFE))
    assert answer.status == 200
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "X-Evil" not in answer.headers
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert policy[:2] == ["sandbox", "default-src 'none'"]
    assert not [rule for rule in policy if rule.startswith("script-src")]


# --- links that do not fit ------------------------------------------------------------------------


async def refused(answer: Answer, code: str, desk: Desk) -> None:
    assert (answer.status, answer.code) == (403, code)
    assert desk.incoming() == []


async def test_attack_a_link_after_its_time(desk: Desk) -> None:
    await desk.put("a", b"x")
    reading, writing = (
        await desk.signer.sign_get("a", LIFE),
        await desk.signer.sign_put("a", LIFE, WEBM),
    )
    form = await desk.signer.sign_post("a", LIFE, WEBM, largest=len(CONTENT))
    desk.clock.now += 600
    await refused(await desk.send(reading), "link_expired", desk)
    await refused(await desk.send(writing, CONTENT), "link_expired", desk)
    await refused(await desk.post(form), "link_expired", desk)
    assert await desk.contents() == {"a": b"x"}


async def test_attack_a_link_for_another_key_or_method(desk: Desk) -> None:
    await desk.put("a", b"x")
    await desk.put("b", b"x")
    reading, writing = (
        await desk.signer.sign_get("a", LIFE),
        await desk.signer.sign_put("a", LIFE, WEBM),
    )
    await refused(await desk.ask("GET", reading.url.replace("/a?", "/b?")), "link_invalid", desk)
    await refused(await desk.ask("GET", writing.url), "link_invalid", desk)
    await refused(await desk.ask("PUT", reading.url, CONTENT), "link_invalid", desk)
    tampered = writing.url.replace("/a?", "/b?")
    await refused(await desk.ask("PUT", tampered, CONTENT), "link_invalid", desk)
    assert await desk.contents() == {"a": b"x", "b": b"x"}


async def test_attack_without_a_signature(desk: Desk) -> None:
    await desk.put("a", b"x")
    url = f"{desk.url}/objects/a"
    await refused(await desk.ask("GET", url), "link_invalid", desk)
    await refused(await desk.ask("PUT", f"{url}?expires=99999999999", b"y"), "link_invalid", desk)
    assert (await desk.ask("DELETE", url)).status == 405
    assert await desk.contents() == {"a": b"x"}


@pytest.mark.parametrize(
    "path",
    [
        "/objects/../secret",
        "/objects/%2e%2e/secret",
        "/objects/..%2fsecret",
        "/objects//etc/passwd",
        "/objects/a%00",
        "/objects/.incoming/a",
        "/objects/%ff%fe",
        "/objects/" + "a/" * 3000,
    ],
)
async def test_attack_a_path_out_of_the_store(desk: Desk, path: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    link = desk.target(await desk.signer.sign_put("a", LIFE, WEBM))
    target = path.encode() + link[link.index(b"?") :]
    for method in (b"PUT", b"GET"):
        answer = await desk.raw(
            method + b" " + target + b" HTTP/1.1\r\nHost: x\r\nContent-Type: video/webm\r\n"
            b"Content-Length: 1\r\n\r\nx",
        )
        assert answer.split()[1] in (b"403", b"404")
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert await desk.contents() == {}


# --- putting --------------------------------------------------------------------------------------


async def test_a_put(desk: Desk) -> None:
    link = await desk.signer.sign_put("a/b.webm", LIFE, "video/webm;codecs=vp8,opus", len(CONTENT))
    answer = await desk.send(link, CONTENT)
    assert answer.status == 200
    assert await desk.contents() == {"a/b.webm": CONTENT}
    assert (await desk.store.head("a/b.webm")).content_type == "video/webm;codecs=vp8,opus"
    read = await desk.send(await desk.signer.sign_get("a/b.webm", LIFE))
    assert read.headers["ETag"] == answer.headers["ETag"]


async def test_a_put_is_not_limited_as_json_is(desk: Desk) -> None:
    content = b"x" * (3 << 20)
    link = await desk.signer.sign_put("a", LIFE, WEBM, len(content))
    assert (await desk.send(link, content)).status == 200
    assert await desk.contents() == {"a": content}


async def chunked(*blocks: bytes) -> AsyncIterator[bytes]:
    """A body whose length nobody says before."""
    for block in blocks:
        yield block


@pytest.mark.parametrize("body", [lambda content: content, chunked], ids=["length_said", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(9, 400), (10, 200), (11, 413), (0, 400)], ids=str)
async def test_attack_a_body_of_another_size_than_signed(
    desk: Desk, body: Callable[[bytes], Any], size: int, status: int
) -> None:
    await desk.put("a", b"old")
    link = await desk.signer.sign_put("a", LIFE, WEBM, 10)
    answer = await desk.send(link, body(b"x" * size))
    assert answer.status == status
    assert await desk.contents() == {"a": b"x" * 10 if status == 200 else b"old"}
    assert desk.incoming() == []


async def test_attack_a_body_far_longer_than_signed_is_refused_before_it_is_sent(
    desk: Desk,
) -> None:
    link = desk.target(await desk.signer.sign_put("a", LIFE, WEBM, 10))
    answer = await desk.raw(
        b"PUT " + link + b" HTTP/1.1\r\nHost: x\r\nContent-Type: video/webm\r\n"
        b"Content-Length: 10000000000\r\n\r\n",
    )
    assert answer.split()[1] == b"413"


async def test_attack_another_content_type_than_signed(desk: Desk) -> None:
    link = await desk.signer.sign_put("a", LIFE, WEBM)
    for other in ("text/html", "video/webm; x", ""):
        answer = await desk.send(link, CONTENT, Content_Type=other)
        await refused(answer, "content_type_refused", desk)
    assert await desk.contents() == {}


async def test_attack_a_body_that_unpacks_to_more(desk: Desk) -> None:
    link = await desk.signer.sign_put("a", LIFE, WEBM)
    answer = await desk.send(link, b"\x1f\x8b", Content_Encoding="gzip")
    assert answer.status == 415
    assert await desk.contents() == {}


async def test_attack_a_packed_body_behind_a_header_that_says_plain(desk: Desk) -> None:
    """aiohttp believes the last of two headers, and whoever asks for one gets the first."""
    link = desk.target(await desk.signer.sign_put("a", LIFE, WEBM))
    packed = gzip.compress(CONTENT)
    answer = await desk.raw(
        b"PUT " + link + b" HTTP/1.1\r\nHost: x\r\nContent-Type: video/webm\r\n"
        b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: %d\r\n\r\n" % len(packed) + packed
    )
    assert answer.split()[1] == b"415"
    assert await desk.contents() == {}


async def test_attack_one_link_used_many_times_at_once(desk: Desk) -> None:
    """Each body would have a file of its own until it has come."""
    signed = await desk.signer.sign_put("a", LIFE, WEBM)
    link = desk.target(signed)
    head = b"PUT " + link + b" HTTP/1.1\r\nHost: x\r\nContent-Type: video/webm\r\n"
    writers = []
    for count in (1, 2):
        _, writer = await asyncio.open_connection(*desk.address())
        writer.write(head + b"Content-Length: 100\r\n\r\n" + b"x" * 10)
        writers.append(writer)
        await until(lambda n=count: len(desk.incoming()) == n, within=5, what="a body began")
    refused = await desk.send(signed, CONTENT)
    assert (refused.status, refused.code) == (429, "too_many_at_once")
    for writer in writers:
        writer.close()
    await until(lambda: not desk.incoming(), within=5, what="both were given up")
    assert (await desk.send(signed, CONTENT)).status == 200


@pytest.mark.parametrize("size", [None, 10])
async def test_attack_filling_the_disk_by_links(desk: Desk, size: int | None) -> None:
    link = await desk.signer.sign_put("a", LIFE, WEBM, size)
    form = await desk.signer.sign_post("b", LIFE, WEBM, largest=10)
    desk.space._free = lambda _: 0
    refused = await desk.send(link, chunked(b"x" * 10))
    assert (refused.status, refused.code) == (507, "disk_low")
    assert (await desk.post(form, b"x" * 10)).status == 507
    assert await desk.contents() == {}
    assert desk.incoming() == []


async def test_attack_a_disk_that_fills_while_the_body_comes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "ROOM_EVERY", 1000)
    free = iter([1 << 40, 0])
    desk.space._free = lambda _: next(free)
    answer = await desk.send(await desk.signer.sign_put("a", LIFE, WEBM), CONTENT)
    assert answer.status == 507
    assert await desk.contents() == {}
    assert desk.incoming() == []


async def test_attack_bytes_one_by_one_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each comes before patience is at its end."""
    now = 0.0
    monkeypatch.setattr("signaling.rest.objects.time.monotonic", lambda: now)

    async def drop() -> bytes:
        nonlocal now
        now += 59.0
        return b"x"

    async def read_on() -> None:
        async for _ in received(drop, Grant("PUT", "a", 0)):
            pass

    async with asyncio.timeout(5):
        with pytest.raises(web.HTTPRequestTimeout):
            await read_on()
    assert now == 118.0


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 100000\r\n\r\n" + b"x" * 70_000,
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhell",
    ],
    ids=["length_said", "chunked"],
)
async def test_a_client_that_goes_away_leaves_nothing(desk: Desk, body: bytes) -> None:
    await desk.put("a", b"old")
    link = desk.target(await desk.signer.sign_put("a", LIFE, WEBM))
    await desk.stall(
        b"PUT " + link + b" HTTP/1.1\r\nHost: x\r\nContent-Type: video/webm\r\n" + body
    )
    over = ("PUT", "/objects/{key}", 400)
    await until(lambda: desk.counters.requests[over], within=5, what="the request is over")
    assert desk.incoming() == []
    assert await desk.contents() == {"a": b"old"}


async def test_a_body_that_is_no_http_leaves_nothing(desk: Desk) -> None:
    link = desk.target(await desk.signer.sign_put("a", LIFE, WEBM))
    answer = await desk.raw(
        b"PUT " + link + b" HTTP/1.1\r\nHost: x\r\nContent-Type: video/webm\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    )
    assert answer.split()[1] == b"400"
    assert desk.incoming() == []
    assert await desk.contents() == {}


async def test_a_client_that_falls_silent_is_given_up() -> None:
    said = iter([b"some"])

    async def read() -> bytes:
        return next(said, None) or await asyncio.get_running_loop().create_future()

    blocks = received(read, Grant("PUT", "a", 0), patience=0.01)
    assert await anext(blocks) == b"some"
    with pytest.raises(web.HTTPRequestTimeout):
        await anext(blocks)


async def test_the_log_keeps_signatures_to_itself(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    link = await desk.signer.sign_put("a", LIFE, WEBM)
    await desk.send(link, CONTENT)
    await until(lambda: "PUT /objects/a" in caplog.text, within=5, what="the request is logged")
    assert link.url.partition("sig=")[2] not in caplog.text


# --- parts ----------------------------------------------------------------------------------------


async def test_an_object_in_parts(desk: Desk) -> None:
    upload_id = await desk.signer.begin("a.webm", WEBM)
    parts = []
    for number, content in enumerate((b"1" * SMALLEST, b"2"), start=1):
        link = await desk.signer.sign_part("a.webm", upload_id, number, LIFE)
        answer = await desk.send(link, content)
        assert (answer.status, answer.body) == (200, b"")
        parts.append(Part(number, answer.headers["ETag"], len(content)))
    await desk.signer.complete("a.webm", upload_id, parts)
    assert await desk.contents() == {"a.webm": b"1" * SMALLEST + b"2"}


async def test_a_link_that_expired_in_a_stall_is_signed_again_and_the_upload_finished(
    desk: Desk,
) -> None:
    upload_id = await desk.signer.begin("a.webm", WEBM)
    link = await desk.signer.sign_part("a.webm", upload_id, 1, LIFE)
    half = b"PUT " + desk.target(link) + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1"
    await desk.stall(half)
    desk.clock.now += 601
    answer = await desk.send(link, b"12")
    assert (answer.status, answer.code) == (403, "link_expired")
    again = await desk.signer.sign_part("a.webm", upload_id, 1, LIFE)
    answer = await desk.send(again, b"12")
    await desk.signer.complete("a.webm", upload_id, [Part(1, answer.headers["ETag"])])
    assert await desk.contents() == {"a.webm": b"12"}


async def test_a_link_that_expires_while_its_body_arrives_stays_good(desk: Desk) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"1"
        await until(desk.receiving, within=5, what="the body began to arrive")
        desk.clock.now += 601
        yield b"2"

    upload_id = await desk.signer.begin("a.webm", WEBM)
    link = await desk.signer.sign_part("a.webm", upload_id, 1, LIFE)
    assert (await desk.send(link, body())).status == 200


async def test_a_part_of_an_upload_that_is_over(desk: Desk) -> None:
    upload_id = await desk.signer.begin("a.webm", WEBM)
    link = await desk.signer.sign_part("a.webm", upload_id, 1, LIFE)
    await desk.signer.abort("a.webm", upload_id)
    answer = await desk.send(link, b"x")
    assert (answer.status, answer.code) == (404, "upload_gone")


async def test_attack_a_part_for_anothers_upload(desk: Desk) -> None:
    theirs = await desk.signer.begin("theirs", WEBM)
    mine = await desk.signer.begin("mine", WEBM)
    link = await desk.signer.sign_part("mine", mine, 1, LIFE)
    for url in (
        link.url.replace(mine, theirs),
        link.url.replace("/mine?", "/theirs?"),
        link.url.replace("part=1", "part=2"),
        link.url.replace(mine, "../" * 3),
        link.url.replace(mine, "%00" * 32),
    ):
        answer = await desk.ask("PUT", url, b"x")
        assert (answer.status, answer.code) == (403, "link_invalid")
    assert sorted(desk.incoming()) == sorted([mine, theirs])


# --- forms ----------------------------------------------------------------------------------------


async def test_a_form(desk: Desk) -> None:
    form = await desk.signer.sign_post("a b", LIFE, WEBM, largest=len(CONTENT), smallest=2)
    answer = await desk.post(form)
    assert answer.status == 204
    assert answer.headers["ETag"]
    assert await desk.contents() == {"a b": CONTENT}
    assert (await desk.store.head("a b")).content_type == WEBM


@pytest.mark.parametrize(("size", "status"), [(1, 400), (2, 204), (5, 204), (6, 413), (0, 400)])
async def test_attack_a_file_of_another_size_than_signed(
    desk: Desk, size: int, status: int
) -> None:
    form = await desk.signer.sign_post("a", LIFE, WEBM, largest=5, smallest=2)
    assert (await desk.post(form, b"x" * size)).status == status
    assert await desk.contents() == ({"a": b"x" * size} if status == 204 else {})
    assert desk.incoming() == []


@pytest.mark.parametrize("field", ["key", "Content-Type", "expires", "smallest", "largest", "sig"])
@pytest.mark.parametrize("value", ["other", "9", None])
async def test_attack_a_condition_is_changed(desk: Desk, field: str, value: str | None) -> None:
    form = await desk.signer.sign_post("a", LIFE, WEBM, largest=1 << 20, smallest=1)
    await refused(await desk.post(form, **{field: value}), "link_invalid", desk)
    assert await desk.contents() == {}


async def test_attack_a_field_that_was_not_signed(desk: Desk) -> None:
    form = await desk.signer.sign_post("a", LIFE, WEBM, largest=1 << 20)
    for name in ("upload", "type", "success_action_redirect"):
        await refused(await desk.post(form, **{name: "x"}), "link_invalid", desk)
    doubled = SignedForm(form.url, dict(form.fields), form.expires_at)
    data = FormData([*doubled.fields.items(), ("key", "b")])
    data.add_field("file", CONTENT, filename="x")
    await refused(await desk.ask("POST", form.url, data), "link_invalid", desk)
    assert await desk.contents() == {}


def multipart(*parts: tuple[str, bytes], end: bytes = b"--b--\r\n") -> bytes:
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), content)
        for name, content in parts
    )
    return body + end


HOSTILE_FORMS = {
    "empty": b"",
    "no_boundary": b"nonsense",
    "no_file": multipart(("key", b"a")),
    "file_before_the_fields": multipart(("file", b"x"), ("key", b"a")),
    "long_field": multipart(("key", b"a" * 10_000), ("file", b"x")),
    "many_fields": multipart(*[("key", b"a")] * 100, ("file", b"x")),
    "not_utf8": multipart(("key", b"\xff"), ("file", b"x")),
    "cut_in_a_field": multipart(("key", b"a"), end=b"")[:-5],
    "cut_in_a_head": b"--b\r\nContent-Dispo",
    "nested": b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--",
    "long_head": b"--b\r\nX: " + b"x" * 100_000,
}


@pytest.mark.parametrize("body", HOSTILE_FORMS.values(), ids=HOSTILE_FORMS.keys())
async def test_attack_a_form_that_is_none(desk: Desk, body: bytes) -> None:
    url = f"{desk.url}/objects"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert (await desk.ask("POST", url, body, headers)).status in (400, 403)
    assert desk.incoming() == []


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n--", b"\r\n--other--"])
async def test_a_form_that_ends_within_its_file_leaves_nothing(desk: Desk, end: bytes) -> None:
    form = await desk.signer.sign_post("a", LIFE, WEBM, largest=1 << 20)
    fields = [(name, value.encode()) for name, value in form.fields.items()]
    body = multipart(*fields, ("file", b"x" * 300_000), end=b"").removesuffix(b"\r\n") + end
    answer = await desk.ask(
        "POST", form.url, body, {"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert (answer.status, answer.code) == (400, "bad_body")
    assert desk.incoming() == []
    assert await desk.contents() == {}


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", ""])
async def test_a_post_that_is_no_form(desk: Desk, content_type: str) -> None:
    url = f"{desk.url}/objects"
    answer = await desk.ask("POST", url, b"{}", {"Content-Type": content_type})
    assert answer.status in (400, 415)


# --- browsers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/objects", "/objects/a/b.webm?expires=1&sig=2"])
async def test_pages_of_any_origin_may_use_a_link(desk: Desk, path: str) -> None:
    answer = await desk.ask(
        "OPTIONS",
        desk.url + path,
        headers={
            "Origin": "https://anywhere.example",
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Headers"] == "content-type"
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]


async def test_pages_of_any_origin_may_read_the_etag(desk: Desk) -> None:
    link = await desk.signer.sign_put("a", LIFE, WEBM)
    answer = await desk.send(link, CONTENT, Origin="https://anywhere.example")
    read = await desk.send(
        await desk.signer.sign_get("a", LIFE), Origin="https://anywhere.example", Range="bytes=0-1"
    )
    for headers in (answer.headers, read.headers):
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert "ETag" in headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in headers


STORED_PAGE = b"<title>quiet</title><script>document.title = 'run'</script>"
UPLOAD_FROM_A_PAGE = """async ([url, type]) => {
    const sent = await fetch(url, {
        method: "PUT", headers: {"Content-Type": type}, body: new Blob(["from a page"])
    });
    return [sent.status, sent.headers.get("ETag")];
}"""


async def test_in_a_real_browser(tmp_path: Path) -> None:
    """A page of another origin uploads with a link; a stored page that is opened runs nothing."""
    async with (
        opened_desk(tmp_path) as desk,
        TestServer(web.Application()) as elsewhere,
        chromium() as browser,
    ):
        page = await browser.new_page()
        await page.goto(str(elsewhere.make_url("/")))  # a 404 is a page, too
        link = await desk.signer.sign_put("a.webm", LIFE, WEBM, 11)
        status, etag = await page.evaluate(UPLOAD_FROM_A_PAGE, [link.url, WEBM])
        assert (status, bool(etag)) == (200, True)

        await desk.put("a.html", STORED_PAGE, "text/html")
        shown = await desk.signer.sign_get("a.html", LIFE)
        await page.route("**/objects/a.html*", _shown_although_it_is_a_download)
        await page.goto(shown.url)
        assert await page.title() == "quiet"
        assert await page.evaluate("self.origin") == "null"
    assert (tmp_path / "store" / "a.webm").read_bytes() == b"from a page"


async def _shown_although_it_is_a_download(route: Any) -> None:
    """The second line of defence by itself: the policy, without the disposition."""
    answer = await route.fetch()
    headers = {**answer.headers}
    del headers["content-disposition"]
    await route.fulfill(response=answer, headers=headers)
