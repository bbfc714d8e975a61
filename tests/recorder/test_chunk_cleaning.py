"""Elements and boxes of recorders' files are found however the bytes are cut, whatever is in them."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.chunks.fmp4 import clean_fmp4
from recorder.chunks.lane import Lane, Place
from recorder.chunks.part_clock import FORWARD_US, LONGEST_US, PartClock
from recorder.chunks.pieces import MOST_BREAKS, Absent, Cleaner, Damage, Hole, Piece
from recorder.chunks.run_reader import RunReader
from recorder.chunks.webm import CLUSTER, clean_webm
from recorder.errors import ChunksUnreadable
from recorder.integrity import TrackLedger
from tests.recorder.made_chunks import (
    FIREFOX,
    SAFARI,
    assembled,
    cut,
    joined,
    real_set,
    record,
    webm_elements,
)

CLEANERS = {"webm_vp8": clean_webm, "webm_h264": clean_webm, "mp4": clean_fmp4}


def cleaned(clean: Cleaner, *runs: bytes, block: int = 997) -> tuple[list[Piece], Damage]:
    """Bytes that follow each other are one piece."""

    def readers() -> Iterator[RunReader]:
        for number, data in enumerate(runs):
            blocks = (data[at : at + block] for at in range(0, len(data), block))
            yield RunReader(blocks, len(data), begins=number == 0)

    damage = Damage()
    pieces: list[Piece] = []
    for piece in clean(readers(), damage, b""):
        if isinstance(piece, bytes) and pieces and isinstance(pieces[-1], bytes):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return pieces, damage


@pytest.mark.parametrize("name", CLEANERS)
def test_a_whole_file_stays_as_it_is(name: str) -> None:
    data = joined(real_set(name))
    pieces, damage = cleaned(CLEANERS[name], data)
    assert pieces == [data]
    assert damage == Damage()


@pytest.mark.parametrize("name", CLEANERS)
def test_where_blocks_are_cut_makes_no_difference(name: str) -> None:
    data = joined(real_set(name))[:6000]
    expected = cleaned(CLEANERS[name], data, block=len(data))
    for block in (1, 2, 3, 7, 11, 64):
        assert cleaned(CLEANERS[name], data, block=block) == expected


def test_sizes_of_clusters_are_taken_away() -> None:
    """So that one that was cut off is whole."""
    data = joined(real_set("webm_vp8"))
    begin, end = [at for kind, at, _, _ in webm_elements(data) if kind == CLUSTER][1:3]
    head = b"\x1f\x43\xb6\x75"
    sized = head + (1 << 28 | (end - begin - 12)).to_bytes(4, "big")
    assert cleaned(clean_webm, data[:begin] + sized + data[begin + 12 :]) == ([data], Damage())


def test_each_byte_of_webm_may_be_the_last() -> None:
    data = joined(real_set("webm_vp8"))[:1500]
    (whole, *_), _ = cleaned(clean_webm, data)
    assert isinstance(whole, bytes)
    for end in range(200, len(data)):
        pieces, damage = cleaned(clean_webm, data[:end])
        (piece,) = pieces
        assert isinstance(piece, bytes)
        assert whole.startswith(piece)
        assert damage.torn == (piece != data[:end])


def test_each_byte_of_mp4_may_be_the_last() -> None:
    data = joined(real_set("mp4"))[:11000]
    for end in range(1300, len(data), 7):
        pieces, _ = cleaned(clean_fmp4, data[:end])
        given = b"".join(piece for piece in pieces if isinstance(piece, bytes))
        assert data.startswith(given)
        if absent := [piece.count for piece in pieces if isinstance(piece, Absent)]:
            assert len(given) == end
            assert absent == [10782 - end]  # of the first fragment


@pytest.mark.parametrize("name", CLEANERS)
def test_behind_a_hole_it_begins_at_a_place_of_its_own(name: str) -> None:
    data = joined(real_set(name))
    pieces, damage = cleaned(CLEANERS[name], data[:30_000], data[40_000:])
    assert [type(piece) for piece in pieces if not isinstance(piece, Absent)] == [
        bytes,
        Hole,
        bytes,
    ]
    rest = pieces[-1]
    assert isinstance(rest, bytes)
    assert data.endswith(rest)
    assert damage.breaks == 1


@pytest.mark.parametrize("clean", [clean_webm, clean_fmp4])
@given(data=st.binary(max_size=300))
def test_any_bytes_are_media_or_unreadable(clean: Cleaner, data: bytes) -> None:
    with contextlib.suppress(ChunksUnreadable):
        cleaned(clean, data)


def test_noise_that_looks_like_media_again_and_again() -> None:
    header = joined(real_set("webm_vp8"))[:189]
    cluster = b"\x1f\x43\xb6\x75\x01" + 7 * b"\xff" + b"\xe7\x81\0" + b"\xff"
    with pytest.raises(ChunksUnreadable, match="breaks off more than"):
        cleaned(clean_webm, header + cluster * (MOST_BREAKS + 2))


@pytest.mark.parametrize("recorder", [FIREFOX, SAFARI], ids=["webm", "mp4"])
def test_files_with_wrong_bytes_become_files_or_are_refused(
    tmp_path: Path, recorder: object
) -> None:
    """Nothing else, whichever bytes are wrong; a fixed seed finds the same ones each time."""
    data = record(FIREFOX if recorder is FIREFOX else SAFARI, 1.0)
    dice = random.Random(7)
    made = 0
    for number in range(40):
        broken = bytearray(data)
        for _ in range(dice.choice([1, 3, 30])):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        try:
            assembled(tmp_path / str(number), cut(bytes(broken)))
            made += 1
        except ChunksUnreadable:
            pass
    assert made > 10


# --- lanes and clocks -------------------------------------------------------------------------------


def lane(kind: str, holes: list[int], absent: Sequence[tuple[int, int]] = ()) -> Lane:
    return Lane(TrackLedger("t", "bob", kind), holes, list(absent))


def test_pictures_between_a_hole_and_a_keyframe_are_left_out() -> None:
    video = lane("video", [100])
    kept = [
        video.keeps(Place(at, at + 10), at * 1000, 10_000, keyframe=at in (0, 130))
        for at in range(0, 160, 10)
    ]
    assert kept == [at < 100 or at >= 130 for at in range(0, 160, 10)]
    assert [(gap.start_us, gap.end_us) for gap in video.ledger.gaps] == [(100_000, 100_000)]
    (blind,) = video.ledger.undecodable
    assert (blind.start_us, blind.end_us) == (100_000, 130_000)
    assert video.ledger.packets_received == 16


def test_what_lies_in_absent_bytes_is_left_out() -> None:
    audio = lane("audio", [], [(25, 41)])
    kept = [
        audio.keeps(Place(at, at + 10), at * 1000, 10_000, keyframe=True) for at in range(0, 60, 10)
    ]
    assert kept == [True, True, False, False, False, True]
    (gap,) = audio.ledger.gaps
    assert (gap.start_us, gap.end_us, gap.reason) == (20_000, 50_000, "missing")


def test_a_torn_end_is_told_although_nobody_knows_its_length() -> None:
    audio = lane("audio", [])
    audio.keeps(Place(0, 10), 0, 20_000, keyframe=True)
    audio.close(torn=True)
    assert [(gap.start_us, gap.end_us) for gap in audio.ledger.gaps] == [(20_000, 20_000)]


def test_times_that_jump_follow_what_was_before() -> None:
    clock = PartClock(5_000_000)

    def place(stream: int, at_us: int) -> int:
        return at_us + clock.shift(stream, at_us)

    assert place(0, 5_000_000) == 0
    assert place(1, 4_990_000) == -10_000
    assert place(0, 6_000_000) == 1_000_000
    assert place(0, FORWARD_US * 3) == 1_020_000
    assert place(1, FORWARD_US * 3 + 5) == 1_020_005
    assert place(0, 40_000) == 1_040_005  # back to the beginning
    assert len(clock.jumps) == 2


def test_two_days_are_enough() -> None:
    clock = PartClock(0)
    for at_us in range(0, LONGEST_US, FORWARD_US // 2):
        clock.shift(0, at_us)
    with pytest.raises(ChunksUnreadable, match="48 hours"):
        clock.shift(0, LONGEST_US + 1)
