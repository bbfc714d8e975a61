"""The headers of tus: what is understood, and that everything else is refused by name."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.errors import InvalidRequest
from signaling.rest.tus_headers import (
    LONGEST_METADATA,
    Checksum,
    read_checksum,
    read_metadata,
    read_number,
    read_wish,
)


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("007", 7), ("9007199254740991", 2**53 - 1)]
)
def test_numbers(text: str, number: int) -> None:
    assert read_number({"Upload-Offset": text}, "Upload-Offset") == number


@pytest.mark.parametrize(
    "text",
    ["", " ", "-1", "+1", "1 ", "1_0", "1.0", "1e3", "0x10", "٣", "１", "1" * 17, "1\n", "NaN"],
)
def test_negative_offsets_and_other_lies_are_no_numbers(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Upload-Offset") as refused:
        read_number({"Upload-Offset": text}, "Upload-Offset")
    assert refused.value.code == "bad_upload_offset"


def test_a_missing_number_is_named() -> None:
    with pytest.raises(InvalidRequest, match="Upload-Length is missing"):
        read_number({}, "Upload-Length")


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", {}),
        ("  ", {}),
        ("is_confidential", {"is_confidential": ""}),
        (f"filename {b64('Grüße 🎬.mp4')}", {"filename": "Grüße 🎬.mp4"}),
        (
            f"filename {b64('a')}, filetype {b64('b')},empty ",
            {"filename": "a", "filetype": "b", "empty": ""},
        ),
        (f"filename   {b64('a')}  ", {"filename": "a"}),
    ],
)
def test_metadata(text: str, pairs: dict[str, str]) -> None:
    assert read_metadata(text) == pairs


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (",", "key"),
        (f"filename {b64('a')},", "key"),
        (f"na\x01me {b64('a')}", "key"),
        (f"größe {b64('a')}", "key"),
        (f"a {b64('x')},a {b64('y')}", "twice"),
        ("filename not base64", "base64"),
        ("filename YQ", "base64"),
        ("filename Y Q==", "base64"),
        (f"filename {b64(bytes([0xFF, 0xFE]))}", "UTF-8"),
        (f"filename {b64('a' + chr(0) + '.mp4')}", "control"),
        (f"filename {b64('a' + chr(10) + 'Set-Cookie: x')}", "control"),
        (f"filename {b64('a' + chr(0x2028))}", "control"),
        (f"filename {b64('a' * 257)}", "longer"),
        ("a" * (LONGEST_METADATA + 1), "longer"),
    ],
)
def test_metadata_with_control_characters_and_other_lies(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as refused:
        read_metadata(text)
    assert refused.value.code == "bad_upload_metadata"


@given(st.text())
def test_any_metadata_is_understood_or_refused(text: str) -> None:
    try:
        found = read_metadata(text)
    except InvalidRequest:
        return
    assert all(key.isascii() and key.isprintable() for key in found)


def test_a_wish() -> None:
    told = f"filename {b64('talk.mp4')},filetype {b64('video/mp4')},courseId {b64('c-1')}"
    wish = read_wish({"Upload-Length": "12", "Upload-Metadata": told})
    assert (wish.size, wish.filename, wish.content_type) == (12, "talk.mp4", "video/mp4")
    assert (wish.course_id, wish.metadata) == ("c-1", told)


def test_a_wish_in_the_words_of_uppy() -> None:
    told = f"relativePath {b64('null')},name {b64('talk.mp4')},type {b64('video/mp4')}"
    wish = read_wish({"Upload-Length": "12", "Upload-Metadata": told})
    assert (wish.filename, wish.content_type, wish.course_id) == ("talk.mp4", "video/mp4", None)


def test_the_length_can_not_come_later() -> None:
    with pytest.raises(InvalidRequest, match="has to be known") as refused:
        read_wish({"Upload-Defer-Length": "1"})
    assert refused.value.code == "bad_upload_length"


def test_checksums() -> None:
    assert read_checksum({}) is None
    found = read_checksum({"Upload-Checksum": f"sha1 {b64(bytes(20))}"})
    assert found == Checksum("sha1", bytes(20))
    assert read_checksum({"Upload-Checksum": f"sha512 {b64(bytes(64))}"}) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha1",
        "md5 " + b64(bytes(16)),
        "sha1 " + b64(bytes(19)),
        "sha1 !",
        "SHA1 " + b64(bytes(20)),
    ],
)
def test_checksums_of_unknown_kinds_and_lengths(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_checksum({"Upload-Checksum": text})
    assert refused.value.code == "bad_upload_checksum"
