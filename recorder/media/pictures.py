"""Poster, strip and cues of a user's film, as `recorder.derived.pictures` makes those of recordings: the
same pictures, but of a file that may be turned, and that is read where it is.
"""

from __future__ import annotations

from pathlib import Path

from av.container import InputContainer

from recorder.derived.names import cues_of, poster_of, strip_of
from recorder.derived.pictures import keyframes, pictures_of
from recorder.local_files import put_in_place
from recorder.media.opening import prepare_decoder, video_of
from recorder.media.turning import Upright

NAME = "media"
"""What the files are named after: `media.poster.jpg`."""


def make_pictures(
    container: InputContainer, output: Path, end: float
) -> dict[str, tuple[int, int]]:
    """Role -> size of what is in `output` then; empty when there is nothing to see. The film lasts
    until `end`, in seconds.
    """
    video = video_of(container)
    if video is None:
        return {}
    prepare_decoder(video)
    upright = Upright(float(video.sample_aspect_ratio or 1))
    path = output / NAME
    shown = ((at, upright.turn(frame)) for at, frame in keyframes(container, video, end))
    made = pictures_of(shown, end, path)
    if made:
        for name_of in (poster_of, strip_of, cues_of):
            put_in_place(name_of(path))
    return made
