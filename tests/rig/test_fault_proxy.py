"""The fault proxy measures itself: a fault that isn't one would prove nothing."""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from yarl import URL

from tests.rig.faults import (
    Answer,
    CutAnswer,
    CutRequest,
    Dribble,
    Fault,
    FaultProxy,
    Lie,
    LoseAnswer,
    Refuse,
    Request,
    Stall,
    fault_proxy,
    seeded,
)

CONTENT = bytes(range(256)) * 4096  # 1 MiB


class Upstream:
    """A server that says what it was asked, and counts whole bodies that reached it."""

    def __init__(self) -> None:
        self.url = ""
        self.whole: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.whole[request.method] += 1
        match request.path:
            case "/chunked":
                response = web.StreamResponse()
                response.enable_chunked_encoding()
                await response.prepare(request)
                for offset in range(0, len(CONTENT), 100_000):
                    await response.write(CONTENT[offset : offset + 100_000])
                await response.write_eof()
                return response
            case "/host":
                return web.Response(text=request.headers["Host"])
            case "/echo":
                return web.Response(body=body, headers={"X-Size": str(len(body))})
            case _:
                return web.Response(body=CONTENT)


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    server = Upstream()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    yield server
    await runner.cleanup()


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[FaultProxy]:
    with fault_proxy(upstream.url) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_without_faults_everything_passes_as_it_is(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    async def blocks() -> AsyncIterator[bytes]:
        for offset in range(0, len(CONTENT), 77_777):
            yield CONTENT[offset : offset + 77_777]

    url = URL(f"{proxy.url}/echo?a=%2F&b=+", encoded=True)
    for body in (b"", b"1", CONTENT, blocks()):
        async with client.post(url, data=body) as answer:
            expected = body if isinstance(body, bytes) else CONTENT
            assert await answer.read() == expected
    for path in ("/", "/chunked"):
        async with client.get(proxy.url + path) as answer:
            assert await answer.read() == CONTENT
    async with client.head(f"{proxy.url}/") as answer:
        assert answer.headers["Content-Length"] == str(len(CONTENT))
    async with client.put(f"{proxy.url}/echo", data=CONTENT, expect100=True) as answer:
        assert await answer.read() == CONTENT
    assert [request.method for request in proxy.requests] == ["POST"] * 4 + [
        "GET", "GET", "HEAD", "PUT",
    ]  # fmt: skip
    assert proxy.requests[0].target == "/echo?a=%2F&b=+"
    assert proxy.requests[0].path == "/echo"


async def test_the_host_that_was_signed_is_passed_on(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    async with client.get(f"{proxy.url}/host") as answer:
        assert await answer.text() == urlsplit(proxy.url).netloc


async def test_a_connection_serves_many_requests(proxy: FaultProxy) -> None:
    def talk() -> list[bytes]:
        connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc)
        found = []
        for body in (b"1", CONTENT, b""):
            connection.request("POST", "/echo", body)
            found.append(connection.getresponse().read())
            assert connection.sock is not None, "kept"
        connection.close()
        return found

    assert await asyncio.to_thread(talk) == [b"1", CONTENT, b""]


async def test_a_refused_request_never_reaches_the_server(
    proxy: FaultProxy, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    proxy.inject(Refuse(), times=1)
    with pytest.raises(aiohttp.ClientError):
        await client.post(f"{proxy.url}/echo", data=b"1")
    assert upstream.whole == {}


@pytest.mark.parametrize("expect100", [False, True])
async def test_an_answer_of_the_proxy_s_own(
    proxy: FaultProxy, upstream: Upstream, client: aiohttp.ClientSession, expect100: bool
) -> None:
    proxy.inject(Answer(503, retry_after="7"), method="PUT", times=2)
    for status in (503, 503, 200):
        async with client.put(f"{proxy.url}/echo", data=CONTENT, expect100=expect100) as answer:
            assert answer.status == status
            assert answer.headers.get("Retry-After") == ("7" if status == 503 else None)
    assert upstream.whole == {"PUT": 1}


async def test_a_request_is_cut_where_it_was_said(
    proxy: FaultProxy, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    proxy.inject(CutRequest(300_000))
    with pytest.raises(aiohttp.ClientError):
        await client.post(f"{proxy.url}/echo", data=CONTENT)
    assert proxy.requests[0].body_bytes == 300_000
    assert upstream.whole == {}
    proxy.inject(CutRequest(300_000))
    async with client.post(f"{proxy.url}/echo", data=b"short") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", ["/", "/chunked"])
async def test_an_answer_is_cut_where_it_was_said(
    proxy: FaultProxy, client: aiohttp.ClientSession, path: str
) -> None:
    proxy.inject(CutAnswer(300_000))
    async with client.get(proxy.url + path) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    async with client.get(proxy.url + path) as answer:
        assert await answer.read() == CONTENT


async def test_a_lost_answer_is_to_a_request_that_was_served(
    proxy: FaultProxy, upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    proxy.inject(LoseAnswer())
    with pytest.raises(aiohttp.ClientError):
        await client.post(f"{proxy.url}/echo", data=CONTENT)
    assert upstream.whole == {"POST": 1}


@pytest.mark.parametrize("by", [-1000, 1000])
async def test_a_lie_changes_the_length_and_not_the_bytes(proxy: FaultProxy, by: int) -> None:
    proxy.inject(Lie(by))

    def raw() -> bytes:
        address = urlsplit(proxy.url)
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))

    head, _, body = (await asyncio.to_thread(raw)).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(CONTENT) + by}".encode() in head
    assert head.lower().count(b"content-length") == 1
    assert body == CONTENT


async def test_a_dribble_and_a_stall_take_their_time(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    loop = asyncio.get_running_loop()
    for fault in (Dribble(len(CONTENT) // 10, 0.02), Stall(0.2)):
        proxy.inject(fault)
        began = loop.time()
        async with client.get(f"{proxy.url}/") as answer:
            assert await answer.read() == CONTENT
        assert loop.time() - began >= 0.18


async def test_down_is_refused_and_up_is_the_same_address(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    url = proxy.url
    async with client.get(f"{url}/host"):
        pass
    proxy.down = True
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.get(f"{url}/host")
    proxy.down = False
    assert proxy.url == url
    async with client.get(f"{url}/host") as answer:
        assert answer.status == 200


async def test_rules_choose_by_method_target_and_order(
    proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    proxy.inject(Answer(500), method="GET", containing="b=2", times=1, skip=1)
    statuses = []
    for path in ("/?b=1", "/?b=2", "/?b=2", "/?b=2"):
        async with client.get(proxy.url + path) as answer:
            statuses.append(answer.status)
    assert statuses == [200, 200, 500, 200]
    assert proxy.count("GET", "b=2") == 3
    assert proxy.count("PUT") == 0


def test_a_seeded_schedule_is_the_same_again_and_as_frequent_as_said() -> None:
    chances: Sequence[tuple[float, Fault]] = [(0.15, Answer(503)), (0.05, Refuse())]
    request = Request("GET", "/", {})
    first, second, third = (
        [choose(request) for _ in range(2000)]
        for choose in (seeded(1, chances), seeded(1, chances), seeded(2, chances))
    )
    assert first == second != third
    assert 0.12 < first.count(Answer(503)) / 2000 < 0.18
    assert 0.03 < first.count(Refuse()) / 2000 < 0.07
    spared = seeded(1, chances, lambda _: Answer(429))
    assert {spared(request) for _ in range(2000)} == {None, Answer(429)}
