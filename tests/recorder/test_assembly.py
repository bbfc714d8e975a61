"""Which frames count as whole."""

from __future__ import annotations

from collections.abc import Sequence

from recorder.assembly import Dropped, Fragment, Frame, FrameAssembler
from recorder.depacketize import CodedFrame, PictureId
from recorder.errors import BadPayload
from recorder.reorder import Lost


class Letters:
    """A made-up codec: `K` or `D` begins a key or delta frame, then its picture id, then anything.

    `!` anywhere makes the frame bad, `?` makes it one without a picture.
    """

    def __init__(self, *, counted: bool = True) -> None:
        self._counted = counted

    def starts(self, payload: bytes, /) -> bool:
        return payload[:1] in (b"K", b"D")

    def picture_id(self, payload: bytes, /) -> PictureId | None:
        return PictureId(payload[1], 256) if self._counted and self.starts(payload) else None

    def assemble(self, payloads: Sequence[bytes], /) -> CodedFrame | None:
        data = b"".join(payloads)
        if b"!" in data:
            raise BadPayload("bad")
        return None if b"?" in data else CodedFrame(data, data[:1] == b"K")


Script = list[Fragment | Lost]


def play(script: Script, *, counted: bool = True, single: bool = False) -> list[str]:
    assembler = FrameAssembler(Letters(counted=counted), single=single)
    out: list[Frame | Dropped] = []
    for item in script:
        out += assembler.push(item)
    out += assembler.flush()
    return [
        f"-{item.timestamp}" if isinstance(item, Dropped) else item.coded.data.decode()
        for item in out
    ]


def part(timestamp: int, text: str, end: str = "") -> Fragment:
    return Fragment(timestamp, end == "end", text.encode())


def test_frames_end_with_the_marker() -> None:
    assert play([part(1, "K1"), part(1, "b", "end"), part(2, "D2", "end")]) == ["K1b", "D2"]


def test_frames_end_when_the_timestamp_changes() -> None:
    assert play([part(1, "K1"), part(2, "D2"), part(2, "b", "end")]) == ["K1", "D2b"]


def test_video_begins_with_a_keyframe() -> None:
    assert play([part(1, "D1", "end"), part(2, "K2", "end")]) == ["-1", "K2"]


def test_a_beginning_in_the_middle_of_a_frame_is_dropped() -> None:
    assert play([part(1, "x", "end"), part(2, "K2", "end")]) == ["-1", "K2"]


def test_a_loss_within_a_frame_drops_up_to_the_next_keyframe() -> None:
    script: Script = [
        part(1, "K1", "end"),
        part(2, "D2"),
        Lost(1),
        part(2, "c", "end"),
        part(3, "D3", "end"),
        part(4, "K4", "end"),
    ]
    assert play(script) == ["K1", "-2", "-2", "-3", "K4"]


def test_a_loss_of_whole_frames_drops_up_to_the_next_keyframe() -> None:
    script: Script = [part(1, "K1", "end"), Lost(2), part(3, "D3", "end"), part(4, "K4", "end")]
    assert play(script) == ["K1", "-3", "K4"]


def test_a_keyframe_right_after_a_loss_counts() -> None:
    assert play([part(1, "K1", "end"), Lost(2), part(3, "K3", "end")]) == ["K1", "K3"]


def test_a_loss_of_padding_does_no_harm_where_pictures_are_counted() -> None:
    script: Script = [part(1, "K1", "end"), Lost(2), part(2, "D2", "end")]
    assert play(script) == ["K1", "D2"]
    assert play(script, counted=False) == ["K1", "-2"]


def test_padding_breaks_nothing() -> None:
    script: Script = [
        part(1, "K1"),
        part(1, ""),
        part(1, "b", "end"),
        part(0, "", "end"),
        part(2, "D2"),
        part(9, ""),
        part(2, "b", "end"),
    ]
    assert play(script) == ["K1b", "D2b"]


def test_a_bad_frame_drops_up_to_the_next_keyframe() -> None:
    script: Script = [
        part(1, "K1", "end"),
        part(2, "D!", "end"),
        part(3, "D3", "end"),
        part(4, "K4", "end"),
    ]
    assert play(script) == ["K1", "-2", "-3", "K4"]


def test_parameter_sets_alone_are_no_frame_and_no_fault() -> None:
    script: Script = [part(1, "K1", "end"), part(2, "?", "end"), part(3, "D3", "end")]
    assert play(script) == ["K1", "D3"]


def test_the_last_frame_needs_its_marker() -> None:
    assert play([part(1, "K1", "end"), part(2, "D2")]) == ["K1", "-2"]


def test_audio_needs_nothing_but_itself() -> None:
    script: Script = [part(1, "x"), Lost(3), part(2, "y"), part(3, "!"), part(4, "z")]
    assert play(script, single=True) == ["x", "y", "-3", "z"]


def test_a_counter_that_may_have_gone_round_says_nothing() -> None:
    script: Script = [part(1, "K1", "end"), Lost(255), part(2, "D2", "end")]
    assert play(script) == ["K1", "D2"]
    script[1] = Lost(256)
    assert play(script) == ["K1", "-2"]
