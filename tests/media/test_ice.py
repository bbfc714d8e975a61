"""ICE-lite: who gets an answer, and who gets silence."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.transport.ice import answer_check, new_credentials

ADDRESS = ("192.0.2.7", 4242)


@dataclass
class Session:
    ufrag: str = "server-ufrag"
    password: str = "server-password-of-some-length"


SESSION = Session()
SESSIONS = {SESSION.ufrag: SESSION}


def check(password: str = SESSION.password, *, nominate: bool = False, **changes: object) -> bytes:
    message = stun.Message(
        message_method=changes.get("method", stun.Method.BINDING),
        message_class=changes.get("message_class", stun.Class.REQUEST),
    )
    message.attributes["USERNAME"] = changes.get("username", f"{SESSION.ufrag}:client")
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLING"] = 1
    if nominate:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(password.encode())
    return bytes(message)


def test_an_authenticated_check_is_answered_with_the_address_it_came_from() -> None:
    found = answer_check(check(), ADDRESS, SESSIONS)
    assert found is not None
    assert found.session is SESSION
    assert not found.nominates
    reply = stun.parse_message(found.reply)
    assert reply.message_class == stun.Class.RESPONSE
    assert reply.attributes["XOR-MAPPED-ADDRESS"] == ADDRESS
    assert reply.check_message_integrity(SESSION.password.encode())


def test_use_candidate_nominates() -> None:
    found = answer_check(check(nominate=True), ADDRESS, SESSIONS)
    assert found is not None
    assert found.nominates


@pytest.mark.parametrize(
    "data",
    [
        check("a password that is wrong"),
        check(username="nobody:client"),
        check(username=""),
        check(message_class=stun.Class.RESPONSE),
        check(message_class=stun.Class.INDICATION),
        bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST)),  # no integrity
        check()[:-1],
        check() + b"\x00",
        b"\x00" * 20,
    ],
    ids=[
        "wrong password",
        "unknown user",
        "empty user",
        "response",
        "indication",
        "no integrity",
        "cut",
        "trailing junk",
        "zeros",
    ],
)
def test_attack_everything_else_gets_silence(data: bytes) -> None:
    assert answer_check(data, ADDRESS, SESSIONS) is None


def test_attack_every_cut_and_every_flipped_byte_gets_silence() -> None:
    whole = check()
    for size in range(len(whole)):
        assert answer_check(whole[:size], ADDRESS, SESSIONS) is None
    for at in range(len(whole) - 8):  # FINGERPRINT comes last and is not authenticated
        flipped = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        assert answer_check(flipped, ADDRESS, SESSIONS) is None


@given(st.binary(max_size=200))
def test_any_bytes_get_silence(data: bytes) -> None:
    assert answer_check(data, ADDRESS, SESSIONS) is None
    cookie = data[:4] + bytes.fromhex("2112a442") + data[4:]
    assert answer_check(cookie, ADDRESS, SESSIONS) is None


def test_credentials_are_long_and_never_the_same() -> None:
    pairs = {new_credentials() for _ in range(100)}
    assert len(pairs) == 100
    assert all(len(ufrag) >= 4 and len(password) >= 22 for ufrag, password in pairs)
