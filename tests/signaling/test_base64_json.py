"""A long base64 field of a JSON body: found wherever it stands and however the body is cut."""

from __future__ import annotations

import base64
import json
import os
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.errors import InvalidRequest
from signaling.rest.base64_json import LONGEST_REST, Base64Text, LongField


def read(body: bytes, size: int = 1 << 20) -> tuple[bytes, Any]:
    """The field `chunk` of a body that arrives in pieces, and the rest of the body."""
    field, found = LongField("chunk"), b""
    for at in range(0, len(body), size):
        found += b"".join(field.feed(body[at : at + size]))
    field.close()
    return found, json.loads(field.rest)


def decoded(text: bytes, size: int = 1 << 20) -> bytes:
    decoder, found = Base64Text(), b""
    for at in range(0, len(text), size):
        found += decoder.feed(text[at : at + size])
    return found + decoder.close()


# --- the field ------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
NAMES = st.text().filter(lambda name: name != "chunk")


@settings(max_examples=50)
@given(
    before=st.dictionaries(NAMES, VALUES, max_size=3),
    after=st.dictionaries(NAMES, VALUES, max_size=3),
    text=st.text(st.characters(max_codepoint=127)),
    ascii_only=st.booleans(),
    size=st.integers(1, 9),
)
def test_any_object_in_any_pieces(
    before: dict[str, Any], after: dict[str, Any], text: str, *, ascii_only: bool, size: int
) -> None:
    after = {name: value for name, value in after.items() if name not in before}
    whole = {**before, "chunk": text, **after}
    body = json.dumps(whole, ensure_ascii=ascii_only).encode(errors="replace")
    expected = json.loads(body)
    found, rest = read(body, size)
    wanted = expected.pop("chunk").encode(errors="replace")
    assert found == wanted
    assert rest.pop("chunk") == ""
    assert rest == expected


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"chunk":"a\/b\u002bc\u003D"}', b"a/b+c="),
        (rb'{ "ch\u0075nk" : "AAAA" , "sequence" : 1 }', b"AAAA"),
        (rb'{"inner":{"chunk":"no"},"list":["chunk","no"],"chunk":"yes"}', b"yes"),
        (rb'{"name":"chunk","chunk":"yes"}', b"yes"),
        (rb'{"chunk":""}', b""),
        (rb'{"chunk":null}', b""),
        (rb'{"a":"\\\"chunk\":\"no","chunk":"yes"}', b"yes"),
        (rb'["chunk","no"]', b""),
        (rb'"chunk"', b""),
    ],
)
def test_the_field_and_nothing_else(body: bytes, text: bytes, size: int) -> None:
    assert read(body, size)[0] == text


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize(
    "body",
    [
        b'{"chunk":"AAAA',
        b'{"chunk":"AAAA\\',
        b'{"chunk":"AAAA\\u00',
        b'{"chu',
        b'{"chunk":"a","chunk":"b"}',
        b'{"chunk":"\\x41"}',
        b'{"chunk":"\\u00"}',
        b'{"\\q":1}',
    ],
)
def test_bodies_that_can_not_be_read(body: bytes, size: int) -> None:
    with pytest.raises(InvalidRequest):
        read(body, size)


@pytest.mark.parametrize("piece", [b"[", b'{"a":', b'"', b" ", b"x" * 99, b'"a"', b"\\"])
def test_a_body_without_end_and_without_the_field(piece: bytes) -> None:
    field = LongField("chunk")

    def feed_without_end() -> None:
        while True:
            field.feed(piece * 9)

    with pytest.raises(InvalidRequest, match="longer than"):
        feed_without_end()
    assert len(field.rest) <= 2 * LONGEST_REST + 2


@given(body=st.binary(), size=st.integers(1, 9))
def test_any_bytes_are_read_or_refused(body: bytes, size: int) -> None:
    field = LongField("chunk")
    try:
        for at in range(0, len(body), size):
            field.feed(body[at : at + size])
        field.close()
    except InvalidRequest:
        pass


def test_memory_stays_flat() -> None:
    """24 MB of text, half of it escapes, in the pieces that a socket gives."""
    body = b'{"chunk":"' + rb"QUJD\/\/\u002BA" * (2 << 20) + b'"}'
    field, decoder = LongField("chunk"), Base64Text()
    tracemalloc.start()
    size = 0
    for at in range(0, len(body), 1 << 16):
        for text in field.feed(body[at : at + (1 << 16)]):
            size += len(decoder.feed(text))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == (2 << 20) * 6
    assert peak < 4 << 20


# --- base64 ---------------------------------------------------------------------------------------


@given(
    content=st.binary(),
    size=st.integers(1, 9),
    head=st.sampled_from(["", "data:video/webm;codecs=vp8,opus;base64,", "DATA:;BASE64,"]),
)
def test_what_was_encoded_comes_out(content: bytes, size: int, head: str) -> None:
    assert decoded(head.encode() + base64.b64encode(content), size) == content


def test_the_url_of_an_empty_blob() -> None:
    assert decoded(b"data:") == b""
    assert decoded(b"data:video/webm;base64,") == b""


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize(
    "text",
    [
        b"opus;base64",
        b'opus";base64',
        b"mp4a.40.2;base64",
        b"data:video/webm;codecs=vp8",
    ],
)
def test_a_piece_of_the_head_of_a_data_url(text: bytes, size: int) -> None:
    """`dataUrl.split(",")[1]`, and [0]: the comma within the type is not the one behind it."""
    with pytest.raises(InvalidRequest, match="piece of a data: URL's head") as caught:
        decoded(text, size)
    assert caught.value.code == "chunk_not_base64"
    assert 'split(";base64,")[1]' in caught.value.message


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize(
    "text",
    [
        b"undefined",
        b"[object Blob]",
        b"QUJ",
        b"QUJDR",
        b"QQ==QQ==",
        b"Q===",
        b"=QQQ",
        b"QU-_",
        b"QUJD\nQUJD",
        b"QUJD QUJD",
        "QUJ\u00c4".encode(),
        b"data:text/plain," + b"x" * 2000,
    ],
)
def test_what_is_not_base64(text: bytes, size: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decoded(text, size)
    assert caught.value.code == "chunk_not_base64"


def test_large_ones() -> None:
    content = os.urandom(3 << 20)
    body = json.dumps({"sequence": 1, "chunk": base64.b64encode(content).decode()}).encode()
    text, rest = read(body, 70_001)
    assert decoded(text, 50_001) == content
    assert rest == {"sequence": 1, "chunk": ""}
