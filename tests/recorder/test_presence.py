"""Mutes and silences, and what is left of one without the other."""

from __future__ import annotations

from recorder.presence import MAX_STRETCHES, Presence

S = 1_000_000


def test_a_silence_is_an_outage_where_media_is_missing() -> None:
    presence = Presence()
    presence.silent(10 * S, 15 * S)
    assert presence.outages(9 * S, 16 * S) == [(10 * S, 15 * S)]
    assert presence.outages(14.9 * S, 15 * S) == []  # what was held back came


def test_a_mute_is_no_outage_and_cuts_one() -> None:
    presence = Presence()
    presence.muted(11 * S)
    presence.muted(12 * S)  # said twice
    assert presence.unmuted(14 * S) == (11 * S, 14 * S)
    assert presence.unmuted(14 * S) is None
    presence.silent(10 * S, 20 * S)
    assert presence.outages(10 * S, 20 * S) == [(14 * S, 20 * S)]
    assert presence.unmuted_within(10 * S, 20 * S) == [(10 * S, 11 * S), (14 * S, 20 * S)]
    assert presence.unmuted_within(12 * S, 13 * S) == []
    assert presence.unmuted_within(15 * S, 16 * S) == [(15 * S, 16 * S)]


def test_a_mute_that_goes_on_counts() -> None:
    presence = Presence()
    presence.muted(5 * S)
    assert presence.muted_since(4 * S, 6 * S)
    assert not presence.muted_since(6 * S, 7 * S)  # it was before
    assert presence.unmuted_within(4 * S, 9 * S) == [(4 * S, 5 * S)]


def test_what_is_remembered_is_bounded() -> None:
    presence = Presence()
    for number in range(3 * MAX_STRETCHES):
        presence.muted(number * S)
        presence.unmuted(number * S + 1)
        presence.silent(number * S, number * S + 1)
    assert len(presence.unmuted_within(0, 1e12)) == MAX_STRETCHES + 1
