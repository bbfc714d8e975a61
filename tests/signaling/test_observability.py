"""Metrics, access log, and the address that clients see."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import MultiDict

from signaling.accesslog import redacted_target
from signaling.metrics import Counters, metrics_of, prometheus_text
from signaling.rest.browsers import allowed_origin
from signaling.rest.origin import origin_of, websocket_origin_of


def test_metrics_as_text() -> None:
    counters = Counters()
    counters.requests["GET", "/api/v1/rooms", 200] = 3_000_000
    counters.recordings["recorded"] = 1
    text = prometheus_text(metrics_of(counters, {"rooms": 2}, {"packets": 5, "plane": "python"}))
    assert (
        'mediaserver_http_requests_total{method="GET",route="/api/v1/rooms",status="200"} 3000000'
        in text.splitlines()
    )
    assert 'mediaserver_recording_changes_total{status="recorded"} 1' in text
    assert "mediaserver_rooms 2\n" in text
    assert "mediaserver_media_packets 5\n" in text
    assert "python" not in text
    assert text.endswith("\n")


def test_label_values_are_escaped() -> None:
    counters = Counters()
    counters.media_events['a"b\\c\nd'] = 1
    assert 'event="a\\"b\\\\c\\nd"' in prometheus_text(metrics_of(counters, {}, {}))


@pytest.mark.parametrize("name", ["access_token", "join_request", "sig"])
def test_secrets_are_not_logged(name: str) -> None:
    target = redacted_target("/rtc/v1", MultiDict({name: "hunter2", "page": "1"}))
    assert target == f"/rtc/v1?{name}=...&page=1"


def test_invite_codes_are_not_logged() -> None:
    target = redacted_target("/api/v1/invites/hunter2/accept", MultiDict())
    assert target == "/api/v1/invites/.../accept"


def test_attack_line_breaks_in_the_log() -> None:
    assert "\n" not in redacted_target("/x\nGET /y", MultiDict({"a": "b\r\nc\x1b"}))


class Transport:
    def __init__(self, peer: str) -> None:
        self.peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self.peer, 1) if name == "peername" else default


@pytest.mark.parametrize(
    ("peer", "headers", "origin"),
    [
        ("203.0.113.9", {"Host": "a:7880"}, "http://a:7880"),
        ("127.0.0.1", {"Host": "a", "X-Forwarded-Proto": "https"}, "https://a"),
        (
            "::1",
            {"Host": "a", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "b, c"},
            "https://b",
        ),
        ("127.0.0.1", {"Host": "a", "X-Forwarded-Proto": "javascript"}, "http://a"),
        # an attacker's own headers
        ("203.0.113.9", {"Host": "a", "X-Forwarded-Host": "evil"}, "http://a"),
    ],
)
def test_forwarded_addresses_count_only_from_this_machine(
    peer: str, headers: dict[str, str], origin: str
) -> None:
    request = make_mocked_request("GET", "/", headers=headers, transport=Transport(peer))
    assert origin_of(request) == origin
    assert websocket_origin_of(request) == origin.replace("http", "ws", 1)


@pytest.mark.parametrize(
    ("origin", "allowed", "answer"),
    [
        ("https://a", (), None),
        ("https://a", ("https://a",), "https://a"),
        ("https://b", ("https://a",), None),
        ("https://b", ("*",), "*"),
        (None, ("https://a",), None),
        ("null", ("https://a",), None),
    ],
)
def test_origins(origin: str | None, allowed: tuple[str, ...], answer: str | None) -> None:
    assert allowed_origin(origin, allowed) == answer
