"""What independent tools say about a media file."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import av


async def ffprobe(path: Path) -> dict[str, Any]:
    """ffprobe's `format` and `streams`. Raises AssertionError with its complaint, if it has one."""
    program = shutil.which("ffprobe")
    assert program, "ffprobe is missing: run `make test`, which installs ffmpeg"
    process = await asyncio.create_subprocess_exec(
        program,
        *("-v", "error", "-show_format", "-show_streams", "-of", "json", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert not err, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found


def decode_errors(path: Path) -> int:
    """How many packets of the file's streams a decoder refuses."""
    errors = 0
    with av.open(str(path)) as container:
        for packet in container.demux():
            try:
                packet.decode()
            except av.error.FFmpegError:
                errors += 1
    return errors


def keyframe_times(path: Path) -> list[float]:
    """Presentation times of the video keyframes, in seconds."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return [
            float(packet.pts * packet.time_base)
            for packet in container.demux(video)
            if packet.is_keyframe and packet.pts is not None
        ]


def seek_lands_at(path: Path, seconds: float) -> float:
    """Time of the first picture that a player shows after seeking to `seconds`."""
    with av.open(str(path)) as container:
        container.seek(int(seconds * av.time_base), backward=True)
        frame = next(container.decode(video=0))
        assert frame.time is not None
        return float(frame.time)
