"""The join_request parameter: any text either decodes or is refused, at a bounded cost."""

from __future__ import annotations

import base64
import contextlib
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import rtc

from signaling.errors import InvalidRequest
from signaling.livekit.join_request import decode_join_request, encode_join_request
from signaling.livekit.limits import MAX_JOIN_REQUEST_BYTES

# Its base64 has both characters in which the two alphabets differ.
REQUEST = rtc.JoinRequest(participant_sid="PA_~~~???>>>", metadata="ü" * 7)


def gzipped(inner: bytes) -> str:
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(inner) + packer.flush()
    wrapped = rtc.WrappedJoinRequest(
        compression=rtc.WrappedJoinRequest.Compression.GZIP, join_request=packed
    )
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


def standard(text: str) -> str:
    return text.replace("-", "+").replace("_", "/")


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    "spelling",
    [
        str,
        standard,
        lambda text: text.rstrip("="),
        lambda text: standard(text).rstrip("="),
        lambda text: standard(text).replace("+", " "),
    ],
    ids=["url-safe", "standard", "url-safe unpadded", "standard unpadded", "plus as space"],
)
def test_every_spelling_of_base64_decodes(spelling: object, compress: bool) -> None:
    text = spelling(encode_join_request(REQUEST, compress=compress))  # type: ignore[operator]
    assert decode_join_request(text) == REQUEST


def test_a_gzip_bomb_is_refused_without_unpacking_it() -> None:
    bomb = gzipped(bytes(200 * 1024 * 1024))
    tracemalloc.start()
    with pytest.raises(InvalidRequest, match="too large"):
        decode_join_request(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MAX_JOIN_REQUEST_BYTES


def test_a_large_plain_request_is_refused() -> None:
    request = rtc.JoinRequest(metadata="x" * (MAX_JOIN_REQUEST_BYTES + 1))
    with pytest.raises(InvalidRequest, match="too large"):
        decode_join_request(encode_join_request(request))


@pytest.mark.parametrize(
    "text",
    [
        "%%%",
        "ü",
        "A",
        base64.b64encode(b"\xff\xff\xff").decode(),
        gzipped(b"\xff\xff"),
        base64.b64encode(
            rtc.WrappedJoinRequest(compression=1, join_request=b"not gzip").SerializeToString()  # type: ignore[arg-type]
        ).decode(),
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        decode_join_request(text)


def test_a_gzip_stream_that_is_cut_off_is_refused() -> None:
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(REQUEST.SerializeToString()) + packer.flush()
    for length in range(len(packed)):
        wrapped = rtc.WrappedJoinRequest(
            compression=rtc.WrappedJoinRequest.Compression.GZIP, join_request=packed[:length]
        )
        text = base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()
        with pytest.raises(InvalidRequest):
            decode_join_request(text)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(base64.b64encode)))
def test_any_text_decodes_or_raises_our_error(text: str | bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        decode_join_request(text if isinstance(text, str) else text.decode())
