"""What a stored file holds, from all of its packets.

A container's own word for its length is not taken: files are cut short, and some are hostile. Reading
the packets without decoding them costs a small part of a render.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import av
from av.container import InputContainer

from recorder.composite.schedule import LINGER_SECONDS, STILL_SECONDS, Extent, Span
from recorder.errors import BadPayload

LONGEST_SECONDS: Final = 48 * 3600.0
"""Nothing that a file says to lie later is believed."""

_EBML: Final = b"\x1a\x45\xdf\xa3"
_LAST_PICTURE_SECONDS: Final = 1 / 30
_LAST_SOUND_SECONDS: Final = 0.02


def open_media(path: Path) -> InputContainer:
    """Opens a WebM or MP4 file, by its first bytes; raises BadPayload for all others.

    Formats that lead to other files or addresses (playlists and the like) are never tried.
    """
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith(_EBML):
        kind = "matroska"
    elif head[4:8] in (b"ftyp", b"styp", b"moov"):
        kind = "mp4"
    else:
        raise BadPayload(f"{path.name} is neither WebM nor MP4")
    return av.open(
        f"file:{path}",
        format=kind,
        options={"protocol_whitelist": "file"},
        metadata_errors="replace",
    )


def packets_of(container: InputContainer, stream: Any = None) -> Iterator[av.Packet[Any]]:
    """Packets with something in them, until the end or until nothing more can be read."""
    packets = container.demux(stream) if stream is not None else container.demux()
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, ValueError):
            return
        if packet is None:
            return
        if packet.size:
            yield packet


def probe(path: Path, *, screen: bool = False) -> Extent:
    """What is in a file. A `screen` may stand still for as long as it likes.

    Raises BadPayload, OSError or av.FFmpegError when it can't be opened.
    """
    pictures, sound = _Pictures(None if screen else STILL_SECONDS), _Sound()
    with closing(open_media(path)) as container:
        video = next(iter(container.streams.video), None)
        audio = next(iter(container.streams.audio), None)
        chosen = [stream for stream in (video, audio) if stream is not None]
        for packet in packets_of(container, chosen) if chosen else ():
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or packet.time_base is None:
                continue
            time = float(stamp * packet.time_base)
            length = float((packet.duration or 0) * packet.time_base)
            if not -1.0 < time < LONGEST_SECONDS or not length < LONGEST_SECONDS:
                continue
            (pictures if packet.stream is video else sound).add(max(time, 0.0), length)
    return Extent(pictures.spans(sound.span()), sound.span())


class _Sound:
    def __init__(self) -> None:
        self._start: float | None = None
        self._end = 0.0

    def add(self, time: float, length: float) -> None:
        if self._start is None or time < self._start:
            self._start = time
        self._end = max(self._end, time + (length or _LAST_SOUND_SECONDS))

    def span(self) -> Span | None:
        return None if self._start is None else Span(self._start, self._end)


class _Pictures:
    """Stretches with pictures, cut where there was none for longer than `still`."""

    def __init__(self, still: float | None) -> None:
        self._still = still
        self._done: list[Span] = []
        self._start: float | None = None
        self._last = self._end = 0.0

    def add(self, time: float, length: float) -> None:
        if self._start is None:
            self._start = self._last = time
        elif self._still is not None and time - self._last > self._still:
            self._done.append(Span(self._start, self._last + LINGER_SECONDS))
            self._start = time
        self._last = max(self._last, time)
        # WebM may give the last picture the length of a pause; nothing is to be seen in it
        self._end = self._last + min(length or _LAST_PICTURE_SECONDS, LINGER_SECONDS)

    def spans(self, sound: Span | None) -> tuple[Span, ...]:
        if self._start is None:
            return ()
        end = self._end
        if self._still is not None and sound is not None:
            end = max(end, min(self._last + LINGER_SECONDS, sound.end))
        return (*self._done, Span(self._start, end))
