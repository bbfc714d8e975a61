"""Long recordings for players that load as they go: one fragmented MP4 and a playlist of its ranges.

An MP4 or WebM of eight hours has an index of megabytes that a phone must load before the first
picture; iOS refuses an MP4 index of more than 34 MB. A playlist is small, and each of its segments
stands for itself. H.264, VP9 and AV1 with Opus, and Opus alone, can be in MP4 for browsers; VP8 can't,
so such recordings have their WebM alone.

Nothing is encoded: libavformat's own fragmenting writes the file as it goes (memory holds one
fragment), and the offsets are read back from it. Its streams have no holes
(`recorder.derived.continuous`); what is repeated for that is never more than the file itself.
"""

from __future__ import annotations

from pathlib import Path

from recorder.derived.continuous import continuous_audio, continuous_video
from recorder.derived.fragments import FragmentedFile, read_fragments
from recorder.derived.names import media_of, playlist_of
from recorder.derived.playlist import playlist_text, segments_of
from recorder.derived.streams import StreamReader, open_streams
from recorder.errors import MuxFailed
from recorder.jobs import FinalizedFile
from recorder.local_files import partial_of, put_in_place, sha256_of
from recorder.writer import ContainerWriter

KIND = "hls"
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
CODECS = frozenset({"h264", "vp9", "av1", "opus"})
"""FFmpeg's names of what can be in a fragmented MP4 for browsers."""

LONGEST_SECONDS = 86_400.0

_SEGMENT_US = 5_000_000
"""A segment ends at the first keyframe after so long; with one every 4 s or less, 6 s on average."""
_SOUND_US = 6_000_000
_LONGEST_FRAGMENT_US = 30_000_000
"""Without keyframes too, so that memory stays bounded; such fragments are parts of one segment."""
_FLAGS = "+empty_moov+default_base_moof+frag_discont+skip_trailer"


def make_hls(file: FinalizedFile) -> list[FinalizedFile]:
    """The playlist and the media file of `file`, beside it.

    None for a codec that can't be in MP4, and for more than a day: who left a room open for a week
    did not mean to watch it.

    Raises MuxFailed, and what the disk or PyAV raise; then neither is there.
    """
    readers = open_streams(file.path)
    try:
        playable = readers and all(reader.codec in CODECS for reader in readers)
        if not playable or file.duration_seconds > LONGEST_SECONDS:
            return []
        path = media_of(file.path)
        counts = _write(readers, partial_of(path), file.size)
    finally:
        for reader in readers:
            reader.close()
    fragmented = _read_back(partial_of(path), counts)
    segments = segments_of(fragmented)
    put_in_place(path)
    playlist = playlist_of(file.path)
    text = playlist_text(path.name, fragmented.header_size, segments)
    partial_of(playlist).write_text(text, "utf-8")
    put_in_place(playlist)
    duration = sum(segment.duration for segment in segments)
    kind = "video" if fragmented.video is not None else "audio"
    return [
        _derived(file, playlist, PLAYLIST_TYPE, "playlist", duration),
        _derived(file, path, f"{kind}/mp4", "media", duration),
    ]


def _write(readers: list[StreamReader], path: Path, most_repeated: int) -> list[int]:
    end_us = readers[0].duration_us
    video = any(reader.kind == "video" for reader in readers)
    options = {"movflags": _FLAGS, "use_editlist": "0", "fflags": "+bitexact"}
    if video:
        options["movflags"] += "+frag_keyframe"
        options |= {
            "min_frag_duration": str(_SEGMENT_US),
            "frag_duration": str(_LONGEST_FRAGMENT_US),
        }
    else:
        options["frag_duration"] = str(_SOUND_US)
    writer = ContainerWriter(path, "mp4", options)
    try:
        for reader in readers:
            if reader.kind == "video":
                packets = continuous_video(iter(reader), end_us, most_repeated)
            else:
                packets = continuous_audio(iter(reader), end_us)
            writer.add(reader.stream, packets)
        return writer.write()
    finally:
        writer.close()


def _read_back(path: Path, counts: list[int]) -> FragmentedFile:
    fragmented = read_fragments(path)
    found = [
        sum(fragment.samples.get(track, 0) for fragment in fragmented.fragments)
        for track in fragmented.tracks
    ]
    if found != counts:
        raise MuxFailed(f"{counts} packets were written to {path.name}, {found} are in it")
    if fragmented.video is not None and not fragmented.fragments[0].keyframe:
        raise MuxFailed(f"{path.name} does not begin with a keyframe")
    return fragmented


def _derived(
    file: FinalizedFile, path: Path, content_type: str, role: str, duration: float
) -> FinalizedFile:
    return FinalizedFile(
        path=path,
        kind=KIND,
        participant_id=file.participant_id,
        content_type=content_type,
        size=path.stat().st_size,
        sha256=sha256_of(path),
        duration_seconds=round(duration, 3),
        width=file.width,
        height=file.height,
        start_seconds=file.start_seconds,
        participant_name=file.participant_name,
        source=file.source,
        role=role,
        derived_from=file.path.name,
    )
