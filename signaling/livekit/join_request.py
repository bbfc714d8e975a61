"""The `join_request` query parameter: base64 of a WrappedJoinRequest around a JoinRequest.

Clients differ in alphabet and padding (browsers: URL-safe, padded; others may leave padding out),
and may gzip the inner bytes. The decompressed size is capped: the sender decides it, not we.
"""

from __future__ import annotations

import base64
import binascii
import zlib

from google.protobuf.message import DecodeError
from livekit.protocol import rtc

from signaling.errors import InvalidRequest
from signaling.livekit.limits import MAX_JOIN_REQUEST_BYTES

_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_TO_STANDARD = str.maketrans("-_ ", "+/+")  # a bare `+` in a query arrives as a space


def decode_join_request(text: str) -> rtc.JoinRequest:
    """Raises InvalidRequest for anything that is not a join request, or is one too large."""
    wrapped = rtc.WrappedJoinRequest()
    try:
        wrapped.ParseFromString(_from_base64(text))
        inner = wrapped.join_request
        if wrapped.compression == rtc.WrappedJoinRequest.Compression.GZIP:
            inner = _gunzip(inner)
        if len(inner) > MAX_JOIN_REQUEST_BYTES:
            raise _bad("join_request is too large")
        return rtc.JoinRequest.FromString(inner)
    except (DecodeError, binascii.Error, ValueError, zlib.error) as error:
        raise _bad("join_request can't be decoded") from error


def encode_join_request(request: rtc.JoinRequest, *, compress: bool = False) -> str:
    """The inverse, as clients do it: URL-safe and padded."""
    inner = request.SerializeToString()
    compression = rtc.WrappedJoinRequest.Compression.NONE
    if compress:
        packer = zlib.compressobj(wbits=_GZIP_WINDOW)
        inner = packer.compress(inner) + packer.flush()
        compression = rtc.WrappedJoinRequest.Compression.GZIP
    wrapped = rtc.WrappedJoinRequest(compression=compression, join_request=inner)
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


def _from_base64(text: str) -> bytes:
    standard = text.translate(_TO_STANDARD).rstrip("=")
    padded = standard + "=" * (-len(standard) % 4)
    return base64.b64decode(padded, validate=True)


def _gunzip(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=_GZIP_WINDOW)
    inner = unpacker.decompress(data, MAX_JOIN_REQUEST_BYTES + 1)
    if len(inner) > MAX_JOIN_REQUEST_BYTES:
        raise _bad("join_request is too large")
    if not unpacker.eof:
        raise _bad("join_request is cut off")
    return inner


def _bad(message: str) -> InvalidRequest:
    return InvalidRequest(message, code="bad_join_request")
