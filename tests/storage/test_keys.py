"""Keys and metadata: what exists, what doesn't, and that the refusal is readable."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import BadKey, BadMetadata
from storage.objects.keys import (
    MAX_COMPONENT_BYTES,
    MAX_KEY_BYTES,
    check_key,
    check_metadata,
    folder_conflict,
    folders_of,
    is_key_prefix,
)
from tests.storage.awkward_keys import AWKWARD_KEYS, HOSTILE_KEYS


@pytest.mark.parametrize("key", HOSTILE_KEYS.values(), ids=HOSTILE_KEYS.keys())
def test_a_hostile_key_is_refused_in_one_line_of_ascii(key: str) -> None:
    with pytest.raises(BadKey) as caught:
        check_key(key)
    text = str(caught.value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 600


@pytest.mark.parametrize("key", AWKWARD_KEYS.values(), ids=AWKWARD_KEYS.keys())
def test_an_awkward_key_is_a_key(key: str) -> None:
    assert "/".join(check_key(key)) == key


@given(st.text(max_size=400) | st.text("./\\a\0\x7f\u0085.", max_size=20))
def test_every_text_is_a_safe_key_or_is_refused(key: str) -> None:
    try:
        components = check_key(key)
    except BadKey:
        return
    assert "/".join(components) == key
    assert 0 < len(key.encode()) <= MAX_KEY_BYTES
    assert all(0 < len(component.encode()) <= MAX_COMPONENT_BYTES for component in components)
    assert not any(unicodedata.category(char) == "Cc" or char == "\\" for char in key)
    path = PurePosixPath("/store", *components)
    assert path.parts == ("/", "store", *components), "it stays below the folder it is joined to"
    assert ".." not in path.parts


@pytest.mark.parametrize("over", [0, 1])
def test_the_limits_count_bytes(over: int) -> None:
    for key in (
        "a" * (MAX_COMPONENT_BYTES + over),
        "é" * (MAX_COMPONENT_BYTES // 2) + "a" * over,
        "/".join(["a" * 189] * 5) + "a" * (1 + over),
    ):
        if over:
            with pytest.raises(BadKey, match="longer than"):
                check_key(key)
        else:
            check_key(key)


@given(st.text(max_size=60), st.text(max_size=10))
def test_the_beginning_of_a_key_is_a_prefix(beginning: str, end: str) -> None:
    try:
        check_key(beginning + end)
    except BadKey:
        return
    assert is_key_prefix(beginning)


@pytest.mark.parametrize(
    "prefix", ["/", "../", "a/../", "a//", "\0", "\n", "\udce9", "a\\", "a" * 5000]
)
def test_what_no_key_begins_with_is_no_prefix(prefix: str) -> None:
    assert not is_key_prefix(prefix)


@pytest.mark.parametrize("prefix", ["", "a", "a/", ".", "..", "a/b/", ".incoming", "a" * 249])
def test_what_a_key_begins_with_is_a_prefix(prefix: str) -> None:
    assert is_key_prefix(prefix)


def test_folders_of_a_key() -> None:
    assert list(folders_of("a/b/c")) == ["a", "a/b"]
    assert list(folders_of("a")) == []
    assert "a/b" in str(folder_conflict("a/b"))


# --- metadata -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"room": "r1", "taken-at": "2026-01-02T03:04:05Z"},
        {"a": ""},
        {"0": "a b"},
        {"a" * 40: "~" * 1000},
        {f"name-{number}": "x" for number in range(16)},
    ],
)
def test_metadata_that_every_store_keeps(metadata: dict[str, str]) -> None:
    assert check_metadata(metadata) == metadata


def test_no_metadata_are_none() -> None:
    assert check_metadata(None) == {}


@pytest.mark.parametrize(
    "metadata",
    [
        {"": "x"},
        {"Room": "x"},
        {"room_id": "x"},
        {"-room": "x"},
        {"a" * 41: "x"},
        {"комната": "x"},
        {"room\r\nX-Evil": "x"},
        {"room": "x\r\nX-Evil: 1"},
        {"room": "x\0"},
        {"room": "é"},
        {"room": " x"},
        {"room": "x "},
        {"room": "\t"},
        {"room": "x" * 1497},
        {f"name-{number}": "x" for number in range(17)},
    ],
)
def test_metadata_that_not_every_store_keeps_are_refused(metadata: dict[str, str]) -> None:
    with pytest.raises(BadMetadata):
        check_metadata(metadata)


def test_metadata_are_copied() -> None:
    given_metadata = {"room": "r1"}
    kept = check_metadata(given_metadata)
    given_metadata["room"] = "r2"
    assert kept == {"room": "r1"}
