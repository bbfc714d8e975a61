"""What is in an opened file: found out by reading and decoding, where its own word is not enough.

The first picture and the first sound are decoded, and the film has to go on near its end. A container
that does not say how long it is (a browser's own recording) is read through without decoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from recorder.media.facts import Facts
from recorder.media.limits import MediaLimits, not_playable, truncated
from recorder.media.opening import BROKEN, prepare_decoder, seconds, video_of

MOST_TRIED: Final = 300
"""Packets that are looked at for the first picture or sound, and for one near the end."""
_NEAR_END: Final = 0.9
_SEEKABLE: Final = frozenset({"mp4", "mov", "m4a", "webm", "mkv", "avi"})
_FASTEST: Final = 1000.0  # pictures per second that are believed
_HEADROOM: Final = 60.0  # seconds beyond the limit after which a scan ends


def facts_of(
    container: InputContainer, format: str, size: int, limits: MediaLimits, *, scan: bool
) -> Facts:
    """`scan` has the file read through for its length, whatever it says. Raises FileRefused."""
    limits.check_streams(len(container.streams))
    video = video_of(container)
    audio = next(iter(container.streams.audio), None)
    if video is None and audio is None:
        raise not_playable("it has no video and no sound")
    for stream in (video, audio):
        if stream is not None:
            _check_codec(stream)
    width, height, rotation = (
        (None, None, 0) if video is None else _picture(container, video, limits)
    )
    if audio is not None:
        _first_frame(container, audio, "sound")
    said = 0.0 if container.duration is None else container.duration / av.time_base
    if said <= 0 or scan:
        duration, pictures = _scan(container, video, limits)
    else:
        duration, pictures = said, video.frames if video is not None else 0
        limits.check_duration(duration)
        if format in _SEEKABLE:
            _check_end(container, video or audio, duration)
    if duration <= 0:
        raise not_playable("nothing in it can be played")
    return Facts(
        format=format,
        duration_seconds=round(duration, 3),
        streams=len(container.streams),
        width=width,
        height=height,
        rotation=rotation,
        video_codec=None if video is None else video.codec_context.codec.canonical_name,
        audio_codec=None if audio is None else audio.codec_context.codec.canonical_name,
        bitrate=round(size * 8 / duration),
        frame_rate=None if video is None else _frame_rate(video, pictures, duration),
    )


def _check_codec(stream: Any) -> None:
    try:
        prepare_decoder(stream)
    except (AttributeError, ValueError) as error:  # a stream of an unknown codec has no context
        raise not_playable(
            f"its {stream.type} is coded in a way that is not supported here: {error}"
        ) from None


def _picture(
    container: InputContainer, video: VideoStream, limits: MediaLimits
) -> tuple[int, int, int]:
    """Width and height as shown, and the rotation that makes it so."""
    # what the header says, before anything is decoded
    if video.codec_context.width and video.codec_context.height:
        limits.check_picture(video.codec_context.width, video.codec_context.height)
    frame = _first_frame(container, video, "picture")
    ratio = video.sample_aspect_ratio
    width, height = frame.width, frame.height
    if ratio and 0.1 < ratio < 10:
        width = round(width * ratio)
    rotation = round(-frame.rotation / 90) * 90 % 360
    shown = (height, width) if rotation in (90, 270) else (width, height)
    limits.check_picture(*shown)
    return (*shown, rotation)


def _first_frame(container: InputContainer, stream: VideoStream | AudioStream, what: str) -> Any:
    container.seek(0)
    problem: Exception | None = None
    for packet in islice(_packets(container, stream), MOST_TRIED):
        try:
            frames = list(stream.codec_context.decode(packet))
        except BROKEN as error:
            problem = error
            continue
        if frames:
            return frames[0]
    try:
        held = list(stream.codec_context.decode(None))  # a film of one picture
    except BROKEN as error:
        held, problem = [], error
    stream.codec_context.flush_buffers()
    if held:
        return held[0]
    reason = "there is none" if problem is None else "it is broken"
    raise not_playable(f"its first {what} can't be decoded: {reason}")


def _packets(container: InputContainer, *streams: Any) -> Iterator[Any]:
    """Until the end, or until nothing more can be read."""
    packets = container.demux(streams)
    while True:
        try:
            packet = next(packets, None)
        except BROKEN:
            return
        if packet is None:
            return
        if packet.size:
            yield packet


def _check_end(container: InputContainer, stream: Any, duration: float) -> None:
    try:
        container.seek(round(duration * _NEAR_END * av.time_base), backward=True)
    except BROKEN:
        raise truncated("it can't be read near its end") from None
    if next(_packets(container, stream), None) is None:
        raise truncated("there is nothing near its end")


def _scan(
    container: InputContainer, video: VideoStream | None, limits: MediaLimits
) -> tuple[float, int]:
    """Seconds to the end of the last packet, and how many pictures there are."""
    container.seek(0)
    begin, end, pictures = None, 0.0, 0
    for packet in _packets(container):
        at = seconds(packet.pts if packet.pts is not None else packet.dts, packet.time_base)
        if at is None:
            continue
        if begin is None:
            begin = at
        pictures += packet.stream is video
        end = max(end, at + (seconds(packet.duration, packet.time_base) or 0.0))
        if end - begin > limits.longest_seconds + _HEADROOM:
            break
    limits.check_duration(end - (begin or 0.0))
    return end - (begin or 0.0), pictures


def _frame_rate(video: VideoStream, pictures: int, duration: float) -> float | None:
    """On average; a container's own word counts where pictures were not counted."""
    if pictures > 1:
        rate = pictures / duration
    elif video.average_rate:
        rate = float(video.average_rate)
    else:
        return None
    return round(rate, 3) if 0 < rate <= _FASTEST else None
