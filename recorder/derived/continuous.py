"""Streams without holes, as HLS players need them.

A player that is fed segment by segment (Media Source Extensions) plays only where all its streams
are: a camera that was off for an hour, or a microphone that was muted, would stop the other. So the
last picture stays until the next one comes, in a long pause it is begun anew every few seconds by
the last keyframe, so that a segment can begin there, and pauses of sound are filled with silence.
In the recording's own file sound has no holes either (`recorder.silence`); pictures may.
"""

from __future__ import annotations

from collections.abc import Iterator

import av

from recorder.writer import MICROSECONDS, Packet

REPEAT_US = 6_000_000
"""A picture that stays longer is begun anew after so long."""
SILENCE = {120_000: b"\xfb\x06" + 6 * b"\xff\xfe", 20_000: b"\xf8\xff\xfe"}
"""Microseconds -> Opus packet of digital silence (CELT, fullband, mono; RFC 6716 section 3.2)."""
_JITTER_US = 2_000
"""WebM counts milliseconds: sound this far from the end of the last is meant to follow it."""
_FRAME_US = 33_333
_PACKET_US = 20_000


def continuous_video(packets: Iterator[Packet], end_us: int, most_bytes: int) -> Iterator[Packet]:
    """Pictures from 0 to `end_us`, each with its whole duration.

    The first is a keyframe, and stands from 0 on. A pause is filled only where a keyframe follows:
    other pictures refer to the one that a repeated keyframe would replace. `most_bytes` bounds what
    is repeated in all; from then on the last picture just stays.
    """
    begun = next(packets, None)
    if begun is None:
        return
    held = _timed(begun, 0, 0)
    keyframe = bytes(held)
    for packet in _with_repeats(packets, keyframe, end_us, most_bytes):
        yield _until(held, packet.pts or 0)
        held = packet
    yield _until(held, max(end_us, (held.pts or 0) + _FRAME_US))


def _with_repeats(
    packets: Iterator[Packet], keyframe: bytes, end_us: int, most_bytes: int
) -> Iterator[Packet]:
    """`packets` and, in the pauses before keyframes and before the end, the keyframe before."""
    last = 0
    for packet in packets:
        at = packet.pts or 0
        if packet.is_keyframe:
            for repeated in _repeats(keyframe, last, at, most_bytes):
                most_bytes -= len(keyframe)
                yield repeated
            keyframe = bytes(packet)
        last = at
        yield packet
    yield from _repeats(keyframe, last, end_us, most_bytes)


def _repeats(keyframe: bytes, begun: int, until: int, most_bytes: int) -> Iterator[Packet]:
    times = range(begun + REPEAT_US, until - REPEAT_US + 1, REPEAT_US)
    for at in times[: most_bytes // max(len(keyframe), 1)]:
        packet: Packet = av.Packet(keyframe)
        packet.time_base = MICROSECONDS
        packet.is_keyframe = True
        yield _timed(packet, at, REPEAT_US)


def _until(packet: Packet, end: int) -> Packet:
    return _timed(packet, packet.pts or 0, max(end - (packet.pts or 0), 1))


def continuous_audio(packets: Iterator[Packet], end_us: int) -> Iterator[Packet]:
    """Opus packets one after the other from 0 to `end_us`, silence where there are none."""
    end = 0
    for packet in packets:
        at, duration = packet.pts or 0, packet.duration or _PACKET_US
        if end - at > duration // 2:
            continue  # more than half of it would be heard at the same time as the one before
        for silence in _silence(end, at):
            yield silence
            end += silence.duration or 0
        if at - end <= _JITTER_US:
            at = end
        end = at + duration
        yield _timed(packet, at, duration)
    yield from _silence(end, end_us)


def _silence(begin: int, end: int) -> Iterator[Packet]:
    """From `begin` on, in whole packets that end by `end`."""
    for duration, data in SILENCE.items():
        while end - begin >= duration:
            packet: Packet = av.Packet(data)
            packet.time_base = MICROSECONDS
            packet.is_keyframe = True
            yield _timed(packet, begin, duration)
            begin += duration


def _timed(packet: Packet, at: int, duration: int) -> Packet:
    packet.pts = packet.dts = at
    packet.duration = duration
    return packet
