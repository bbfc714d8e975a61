"""The report of what is missing."""

from __future__ import annotations

import pytest

from recorder.integrity import MAX_ENTRIES, Reason, TrackLedger, integrity_json


def ledger() -> TrackLedger:
    return TrackLedger("TR_1", "alice", "video", "screen_share")


def test_an_empty_report() -> None:
    assert integrity_json([], 0.0, None, complete=True) == {
        "tracks": [],
        "audioVideoOffsetMs": None,
        "complete": True,
    }


def test_everything_stands_on_the_recordings_time_line() -> None:
    track = ledger()
    track.packets_received, track.packets_lost, track.packets_recovered = 3, 2, 1
    track.gap(9e6, 10e6, "muted")
    track.gap(5e6, 5.5e6, "lost")
    track.not_decodable(5e6, 7e6)
    track.freeze(5e6, 7.5e6)
    track.resolution(3e6, (320, 240))
    track.resolution(4e6, (320, 240))
    track.resolution(6e6, (640, 480))
    assert integrity_json([track], 2e6, 1234.6, complete=True) == {
        "tracks": [
            {
                "trackId": "TR_1",
                "participantId": "alice",
                "kind": "video",
                "source": "screen_share",
                "packetsReceived": 3,
                "packetsLost": 2,
                "packetsRecovered": 1,
                "gaps": [
                    {"startSeconds": 3.0, "durationSeconds": 0.5, "reason": "lost"},
                    {"startSeconds": 7.0, "durationSeconds": 1.0, "reason": "muted"},
                ],
                "undecodable": [{"startSeconds": 3.0, "durationSeconds": 2.0}],
                "freezes": [{"startSeconds": 3.0, "durationSeconds": 2.5}],
                "resolutions": [
                    {"startSeconds": 1.0, "width": 320, "height": 240},
                    {"startSeconds": 4.0, "width": 640, "height": 480},
                ],
            }
        ],
        "audioVideoOffsetMs": 1.235,
        "complete": False,
    }


def test_gaps_that_are_near_are_one() -> None:
    track = ledger()
    track.gap(0, 1e6, "lost")
    track.gap(1.2e6, 1.3e6, "muted")
    track.gap(1.5e6, 1.6e6, "lost")
    track.gap(2.6e6, 2.7e6, "lost")
    spans = [(span.start_us, span.end_us, span.reason) for span in track.gaps]
    assert spans == [(0, 1.6e6, "lost"), (1.2e6, 1.3e6, "muted"), (2.6e6, 2.7e6, "lost")]


def test_stretches_with_a_picture_between_them_are_two() -> None:
    track = ledger()
    for start_us in (0, 1e6):
        track.not_decodable(start_us, start_us + 9e5)
        track.freeze(start_us, start_us + 9e5)
    assert len(track.undecodable) == len(track.freezes) == 2


def test_lists_are_bounded() -> None:
    track = ledger()
    for number in range(MAX_ENTRIES + 5):
        track.gap(number * 9e6, number * 9e6 + 1, "lost")
        track.resolution(number, (number, 1))
        track.not_decodable(number, number + 1)
        track.freeze(number, number + 1)
    assert len(track.gaps) == len(track.resolutions) == MAX_ENTRIES
    assert len(track.undecodable) == len(track.freezes) == MAX_ENTRIES
    assert track.gaps[-1].end_us == (MAX_ENTRIES + 4) * 9e6 + 1


@pytest.mark.parametrize(
    ("reason", "complete"),
    [
        ("muted", True),
        ("absent", True),
        ("before_keyframe", True),
        ("lost", False),
        ("network", False),
    ],
)
def test_only_what_is_missing_makes_it_incomplete(reason: Reason, complete: bool) -> None:
    track = ledger()
    track.gap(0, 1, reason)
    assert track.complete is complete
    assert integrity_json([track], 0, None, complete=True)["complete"] is complete
    assert integrity_json([track], 0, None, complete=False)["complete"] is False
