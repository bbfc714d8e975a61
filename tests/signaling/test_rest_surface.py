"""What holds for every route: envelopes, CORS, headers, health, the web application, the docs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from signaling.rest.routes import API
from signaling.settings import Settings, environment_name, flag_name
from tests.signaling.house import House

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/no/such/route", 404, "not_found"),
        ("GET", "/video-calls/no/such/route", 404, "not_found"),
        ("PUT", "/api/v1/token", 405, "method_not_allowed"),
    ],
)
async def test_routes_that_are_not_there(
    home: House, method: str, path: str, status: int, code: str
) -> None:
    answer = await home.request(method, path, home.server())
    assert (answer.status, answer.code) == (status, code)


async def test_our_own_mistakes_are_500_in_the_envelope(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    home.doors.rooms = None  # type: ignore[assignment]
    answer = await home.post("/api/v1/rooms/r/recording/start", home.host("r"))
    assert (answer.status, answer.code) == (500, "internal_error")
    assert "Traceback" not in answer.body.decode()
    assert "recording/start failed" in caplog.text


# --- browsers -------------------------------------------------------------------------------------

PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}


async def test_pages_of_allowed_origins_may_call(home: House) -> None:
    origin = {"Origin": "https://app.example.com"}
    asked = await home.request("OPTIONS", "/api/v1/token", headers={**origin, **PREFLIGHT})
    assert asked.status == 204
    assert asked.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert asked.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert "POST" in asked.headers["Access-Control-Allow-Methods"]
    called = await home.get("/api/v1/session", headers=origin)  # also refusals can be read
    assert (called.status, called.headers["Access-Control-Allow-Origin"]) == (
        401,
        "https://app.example.com",
    )
    assert called.headers["Vary"] == "Origin"


async def test_pages_of_other_origins_may_not(home: House) -> None:
    headers = {"Origin": "https://evil.example", **PREFLIGHT}
    for answer in (
        await home.request("OPTIONS", "/api/v1/token", headers=headers),
        await home.get("/api/v1/session", headers=headers),
    ):
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/rtc/v1/validate", "/twirp/livekit.RoomService/ListRooms"])
async def test_livekit_clients_come_from_anywhere(home: House, path: str) -> None:
    headers = {"Origin": "https://anywhere.example", **PREFLIGHT}
    answer = await home.request("OPTIONS", path, headers=headers)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert answer.headers["Access-Control-Max-Age"] == "86400"


@pytest.mark.parametrize("path", ["/", "/api/v1/session", "/healthz", "/nothing"])
async def test_every_answer_narrows_harm(home: House, path: str) -> None:
    headers = (await home.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "script-src" not in headers["Content-Security-Policy"]  # so 'self' holds
    assert "default-src 'self'" in headers["Content-Security-Policy"]


async def test_long_tokens_fit_into_the_request_line(home: House) -> None:
    answer = await home.get("/api/v1/session", params={"access_token": "x" * 30_000})
    assert (answer.status, answer.code) == (401, "token_malformed")


# --- health ---------------------------------------------------------------------------------------


async def test_healthy_and_ready(home: House) -> None:
    assert (await home.get("/healthz")).status == 200
    ready = await home.get("/readyz")
    assert ready.status == 200
    assert ready.json["checks"] == {"database": "ok", "storage": "ok", "media": "ok"}


async def test_not_ready_names_the_failing_part(home: House) -> None:
    recordings = home.services.settings.recordings_dir
    for entry in sorted(recordings.rglob("*"), reverse=True):
        entry.rmdir() if entry.is_dir() else entry.unlink()
    recordings.rmdir()
    recordings.write_text("in the way")
    ready = await home.get("/readyz")
    assert (ready.status, ready.json["status"]) == (503, "not ready: storage")
    assert (await home.get("/healthz")).status == 200


async def test_attack_many_ask_whether_it_is_ready(home: House) -> None:
    looks = 0
    stats = home.media.stats

    async def counted() -> Mapping[str, int | str]:
        nonlocal looks
        looks += 1
        return await stats()

    home.media.stats = counted  # type: ignore[method-assign]
    answers = await asyncio.gather(*(home.get("/readyz") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert looks == 1


async def test_not_ready_while_stopping(home: House) -> None:
    home.services.lifecycle.draining = True
    assert (await home.get("/readyz")).status == 503


async def test_metrics(home: House) -> None:
    await home.enter("r", "hanna")
    await home.get("/api/v1/rooms/some-room/call")
    answer = await home.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.body.decode().splitlines()
    assert "mediaserver_participants 1" in lines
    assert (
        'mediaserver_http_requests_total{method="GET",route="/api/v1/rooms/{room}/call",'
        'status="401"} 1' in lines
    )
    assert "some-room" not in answer.body.decode()


async def test_attack_filling_memory_with_unknown_routes(home: House) -> None:
    for method in ("GET", "PROPFIND", "MKCOL"):
        for number in range(20):
            await home.request(method, f"/{number}")
    assert len(home.services.counters.requests) == 2


# --- the web application --------------------------------------------------------------------------


async def test_the_web_application(home: House, tmp_path: Path) -> None:
    assets = tmp_path / "webroot" / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "webroot" / "index.html").write_text("<!doctype html><p>calls")
    (assets / "main-1a2b.js").write_text("// hello")
    for path in ("/", "/room/standup", "/room/a%2Fb", "/recordings"):
        page = await home.get(path)
        assert (page.status, page.headers["Content-Type"]) == (200, "text/html")
        assert page.headers["Cache-Control"] == "no-cache"
    asset = await home.get("/assets/main-1a2b.js")
    assert (asset.status, asset.body) == (200, b"// hello")
    assert "immutable" in asset.headers["Cache-Control"]
    assert (await home.get("/assets/other.js")).status == 404
    assert (await home.get("/assets/")).status == 404
    for attack in ("%00", "a" * 300, "x/" * 3000, "%ff%fe"):
        assert (await home.get(f"/assets/{attack}")).status == 404
    assert (await home.request("HEAD", "/")).status == 200


async def test_without_a_built_web_application(home: House) -> None:
    page = await home.get("/")
    assert page.status == 200
    assert b"make web" in page.body


# --- documentation --------------------------------------------------------------------------------


def test_every_setting_is_documented() -> None:
    text = (DOCS / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"`{environment_name(field)}`" in text
        assert f"`{flag_name(name)}`" in text


def test_every_route_is_documented_and_no_other() -> None:
    text = (DOCS / "rest.md").read_text()
    documented = set(re.findall(r"`([A-Z]+) (/[^`]*)`", text))
    assert documented == {(route.method, route.path) for route in API}
