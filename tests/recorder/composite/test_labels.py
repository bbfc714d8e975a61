"""Names come from their bearers and are drawn whatever they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.composite import labels
from recorder.composite.canvas import Canvas
from recorder.composite.layout import Rectangle

SIZE = (320, 180)


def drawn(name: str) -> np.ndarray:
    canvas = Canvas(*SIZE)
    label = labels.label(name, SIZE)
    if label is not None:
        label.paint(canvas.planes)
    return canvas.planes.y.copy()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ada Lovelace", "AL"), ("ada", "A"), ("  Ada   King  Lovelace ", "AL"), ("", "?"),
        ("-- !", "?"), ("+12", "+12"), ("李小龙", "李"), ("שלום עולם", "שע"), ("\u202eevil", "E"),
    ],
)  # fmt: skip
def test_initials(name: str, expected: str) -> None:
    assert labels.initials(name) == expected


def test_characters_that_turn_or_hide_text_are_left_out() -> None:
    assert labels.clean("a\u202eb\n\tc\0\u200b d") == "ab c d"


def test_a_long_name_ends_with_an_ellipsis_within_its_room() -> None:
    font = labels.font_for("x", 16)
    text = labels.shortened("a very long name indeed " * 3, font, 100)
    assert text.endswith("…")
    assert font.getlength(text) <= 100
    assert labels.shortened("short", font, 100) == "short"


def test_right_to_left_is_drawn_from_the_right() -> None:
    """The same letters the other way round give another picture, and both give one."""
    plain = Canvas(*SIZE).planes.y
    one, other = drawn("אבגד"), drawn("דגבא")
    assert (one != plain).any()
    assert (one != other).any()


@given(st.text(max_size=120))
@settings(max_examples=80, deadline=None)
def test_any_name_is_drawn_within_its_place(name: str) -> None:
    canvas = Canvas(640, 360)
    place = Rectangle(160, 90, *SIZE)
    before = canvas.planes.y.copy()
    label = labels.label(name, SIZE)
    if label is not None:
        label.paint(canvas.planes.part(place))
    changed = np.argwhere(canvas.planes.y != before)
    if len(changed):
        assert (changed.min(axis=0) >= (90, 160)).all()
        assert (changed.max(axis=0) < (270, 480)).all()
    assert labels.placeholder(name, "key", SIZE).size == SIZE


def test_a_tile_that_is_too_small_has_no_label() -> None:
    assert labels.label("Ada", (40, 24)) is None
    assert labels.placeholder("Ada", "key", (40, 24)).size == (40, 24)


def test_a_machine_without_fonts_draws_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(labels, "system_fonts", lambda: ())
    labels.font_for.cache_clear()
    labels.label.cache_clear()
    try:
        assert (drawn("Ada") != Canvas(*SIZE).planes.y).any()
    finally:
        labels.font_for.cache_clear()
        labels.label.cache_clear()


def test_a_broken_font_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "Broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(labels, "system_fonts", lambda: (tmp_path / "Broken.ttf",))
    labels.font_for.cache_clear()
    try:
        assert labels.font_for("Ada", 17)
    finally:
        labels.font_for.cache_clear()
