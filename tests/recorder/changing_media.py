"""A recording whose pictures change their size on the way, as phones that are turned and networks do.

The counters run through from 0, 30 pictures a second, for 2 s in each size;
`make_changing_recording` gives the finished files.
"""

from __future__ import annotations

from pathlib import Path

from recorder.file_options import FileOptions
from recorder.finalize import finalize
from recorder.jobs import FinalizeResult
from tests.recorder.known_media import KnownTrack, audio_track, encode_video, video_track

SIZES = ((320, 180), (1280, 720), (720, 1280))
FRAMES_EACH = 60
FRAMES = FRAMES_EACH * len(SIZES)
SECONDS = FRAMES / 30


def changing_track(mime_type: str) -> KnownTrack:
    frames = [
        frame
        for number, size in enumerate(SIZES)
        for frame in encode_video(mime_type, number * FRAMES_EACH, FRAMES_EACH, size)
    ]
    return video_track(mime_type, frames=frames)


def make_changing_recording(
    folder: Path, mime_type: str, options: FileOptions | None = None
) -> FinalizeResult:
    """`mime_type` is "video/VP8", "video/H264" or "video/VP9"; the files are in `folder/output`."""
    for track in (changing_track(mime_type), audio_track(SECONDS)):
        track.write(folder / "journals")
    return finalize(folder / "journals", folder / "output", lambda _: None, options)
