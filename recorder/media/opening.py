"""Opening a file that somebody brought: by the format it was sniffed to be, and nothing but itself.

The demuxer gets a file object, never a name or an address, and whatever it wants to open besides is
refused: playlists, external references and the protocols that lead elsewhere have no way out. Only
decoders of well-known codecs are let at its streams.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from recorder.media.limits import MOST_PIXELS
from recorder.media.remote_file import open_remote

DEMUXERS: Final = {
    "mp4": "mov",
    "mov": "mov",
    "m4a": "mov",
    "webm": "matroska",
    "mkv": "matroska",
    "avi": "avi",
    "ogg": "ogg",
    "mp3": "mp3",
    "wav": "wav",
    "flac": "flac",
}
"""FFmpeg's names by ours."""
DECODERS: Final = (
    "h264,hevc,vp8,vp9,libvpx-vp9,libdav1d,libaom-av1,av1,mpeg4,msmpeg4v2,msmpeg4,mpeg1video,mpeg2video,h263,"
    "mjpeg,theora,prores,dnxhd,rawvideo,aac,mp3,mp3float,mp2,opus,libopus,vorbis,flac,alac,ac3,"
    "eac3,pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_f32le,pcm_alaw,pcm_mulaw"
)
"""Names of decoders that may be tried."""
BROKEN: Final = (av.FFmpegError, ValueError, OSError, EOFError)
_READ_AT_ONCE: Final = 256 * 1024
_KNOWN_DECODERS: Final = frozenset(DECODERS.split(","))


def open_source(source: Path, size: int, *, remote: bool) -> BinaryIO:
    """`source` is a file, or the socket of `recorder.media.ranges`. Raises OSError."""
    return open_remote(source, size) if remote else source.open("rb", buffering=_READ_AT_ONCE)


def open_container(file: Any, format: str) -> InputContainer:
    """`format` is one of DEMUXERS. Raises av.FFmpegError, ValueError, OSError."""
    container: InputContainer = av.open(
        file,
        "r",
        format=DEMUXERS[format],
        container_options={
            "protocol_whitelist": "none",
            "format_whitelist": DEMUXERS[format],
            "codec_whitelist": DECODERS,
            "max_streams": "64",
            **({"enable_drefs": "0"} if DEMUXERS[format] == "mov" else {}),
        },
        buffer_size=_READ_AT_ONCE,
        metadata_errors="replace",
        io_open=_refuse,
    )
    return container


def _refuse(url: str, _flags: int, _options: dict[str, str]) -> NoReturn:
    raise PermissionError(f"the file wants to open another: {url[:80]!r}")


def video_of(container: InputContainer) -> VideoStream | None:
    """The first stream of moving pictures; a cover is none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def prepare_decoder(stream: Any, threads: int = 1) -> None:
    """Bounds what one picture may take. Raises ValueError for a codec that is not let in."""
    name = stream.codec_context.codec.name
    if name not in _KNOWN_DECODERS:
        raise ValueError(f"its codec {name} is not supported")
    stream.codec_context.thread_count = threads
    stream.codec_context.thread_type = "AUTO" if threads > 1 else "NONE"
    if stream.type == "video":
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}


def seconds(stamp: int | None, base: Fraction | None) -> float | None:
    return None if stamp is None or base is None else float(stamp * base)
