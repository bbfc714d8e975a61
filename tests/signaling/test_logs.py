"""The log keeps to its lines and keeps secrets out of them, whoever writes."""

from __future__ import annotations

import logging
import sys

import pytest

from signaling.logs import LONGEST_MESSAGE, OneLineFormatter, redacted, shown

FORMATTER = OneLineFormatter("%(levelname)s %(name)s: %(message)s")


def written(message: str, *arguments: object, fault: Exception | None = None) -> str:
    exc_info = None
    if fault is not None:
        try:
            raise fault
        except type(fault):
            exc_info = sys.exc_info()
    record = logging.LogRecord("any", logging.INFO, "f", 1, message, arguments, exc_info)
    return FORMATTER.format(record)


def test_attack_a_forged_line() -> None:
    identity = "eve\n2026-11-21 10:00:00,000 INFO signaling.app: FORGED \x1b[31m\u2028\ud800"
    assert len(written("%s joins", identity).splitlines()) == 1
    text = written("oops", fault=ValueError(identity))
    assert not [line for line in text.splitlines() if line.startswith("2026")]
    assert "\x1b" not in text
    text.encode()


def test_names_are_quoted_and_short() -> None:
    assert shown("a\nb") == "'a\\nb'"
    assert len(shown("x" * 200_000)) == 102
    assert len(written("%s", "x" * 200_000)) < LONGEST_MESSAGE + 100


@pytest.mark.parametrize(
    "text",
    [
        "GET /rtc/v1?access_token=HUNTER2&page=1 HTTP/1.1",
        "GET /rtc/v1?join_request=HUNTER2",
        "/files/x?sig=1.HUNTER2",
        "http://localhost:7880/#token=HUNTER2",
        "Authorization: Bearer HUNTER2",
        "b'ACCESS_TOKEN=HUNTER2\\x01 HTTP/1.1'",
        "POST /api/v1/invites/HUNTER2/accept",
        "a token eyJHUNTER2aaaa.eyJHUNTER2.HUNTER2 in the open",
    ],
)
def test_attack_secrets_in_any_record(text: str) -> None:
    assert "HUNTER2" not in written("%s", text)
    assert "HUNTER2" not in written("oops", fault=ValueError(text))


def test_other_text_stays() -> None:
    text = "GET /api/v1/recordings?page=1 200 tokens=5 design=x"
    assert redacted(text) == text
