"""Who speaks: nobody is shown for a cough, and nothing flickers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from recorder.composite.speaker import (
    HOLD_SECONDS,
    LOOK_AHEAD_SECONDS,
    WINDOW_SECONDS,
    SpeakerChooser,
)

LOUD, SOFT, SILENT = 0.2, 0.05, 0.0
HOLD = round(HOLD_SECONDS / WINDOW_SECONDS)


def run(*scenes: tuple[int, dict[str, float]]) -> list[str | None]:
    """The speaker after each window; a scene is a number of windows and the levels in them."""
    chooser = SpeakerChooser()
    return [chooser.hear(levels) for windows, levels in scenes for _ in range(windows)]


def test_whoever_begins_to_speak_is_known_within_the_look_ahead() -> None:
    said = run((30, {"a": LOUD, "b": SILENT}), (30, {"a": SILENT, "b": LOUD}))
    assert set(said[:30]) == {"a"}
    delay = said[30:].index("b") * WINDOW_SECONDS
    assert delay <= 1.0  # the first has stopped, and that is known after their last second
    fresh = run((1, {"a": SILENT, "b": SILENT}), (30, {"a": SILENT, "b": LOUD}))
    assert fresh[1:].index("b") * WINDOW_SECONDS <= LOOK_AHEAD_SECONDS


def test_a_cough_changes_nothing() -> None:
    said = run(
        (30, {"a": LOUD, "b": SILENT}),
        (10, {"a": SILENT, "b": SILENT}),
        (3, {"a": SILENT, "b": LOUD}),
        (30, {"a": SILENT, "b": SILENT}),
    )
    assert set(said) == {"a"}


def test_silence_keeps_the_last_speaker() -> None:
    said = run((30, {"a": SILENT, "b": LOUD}), (500, {"a": SILENT, "b": SILENT}))
    assert set(said[10:]) == {"b"}


def test_two_at_a_time_leave_the_first_alone() -> None:
    said = run((30, {"a": LOUD, "b": SILENT}), (100, {"a": LOUD, "b": LOUD * 1.5}))
    assert set(said) == {"a"}


def test_somebody_much_louder_takes_over() -> None:
    said = run((30, {"a": SOFT, "b": SILENT}), (30, {"a": SOFT, "b": LOUD}))
    assert said[-1] == "b"


def test_who_leaves_is_replaced_at_once() -> None:
    said = run((30, {"a": SILENT, "b": LOUD}), (1, {"a": SILENT}), (1, {}), (1, {"c": SILENT}))
    assert said[-3:] == ["a", "a", "c"]


def test_who_is_shown_only_because_nobody_speaks_gives_way_at_once() -> None:
    said = run((1, {"a": SILENT, "b": SILENT}), (4, {"a": SILENT, "b": LOUD}))
    assert (said[0], said[-1]) == ("a", "b")


@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.sampled_from([SILENT, SOFT, LOUD]),
                  st.sampled_from([SILENT, SOFT, LOUD]), st.sampled_from([SILENT, SOFT, LOUD])),
        max_size=60,
    )
)  # fmt: skip
def test_no_speech_makes_it_flicker(scenes: list[tuple[int, float, float, float]]) -> None:
    said = run(*((count, {"a": a, "b": b, "c": c}) for count, a, b, c in scenes))
    changes = [at for at, (one, other) in enumerate(pairwise(said)) if one != other]
    # the first one may be shown for want of a speaker, and gives way at once
    assert all(later - earlier >= HOLD - 1 for earlier, later in pairwise(changes))
