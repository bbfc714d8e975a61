"""How fast a recording's journals become its files, beside `ffmpeg -c copy` of the same media.

    python -m tests.bench.finalizing [--minutes 10] [--tracks 4] [--codec H264]

Each track is a participant's camera: 1280x720 at 30 pictures a second and 2 Mb/s with a keyframe
each 4 s, in packets of 1,200 bytes, encoded once and repeated. The microphones come on top: Opus, 50
packets a second, in the same files. The job runs as it does in a server, as a process of its own on
one core, and makes everything that a recording of this length has: files that are read back and
hashed, posters, strips, cues, and a playlist from 30 minutes on (`--hls` makes one in any case).

Prints times real time for each track (a video and its sound), by wall clock and by CPU, the peak of
memory, and the same for ffmpeg, which only copies. Exits with 1 when a track takes more than a
hundredth of its length of one core.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.recorder.long_media import LongVideo, write_audio_journal, write_video_journal
from tests.recorder.measured import Cost, cost_of

LEAST_SPEED = 100.0
CODECS = ["H264", "VP8", "VP9"]
MEGABIT = 1_000_000


def write_journals(folder: Path, minutes: float, tracks: int, codec: str) -> int:
    """Bytes written."""
    video = LongVideo(f"video/{codec}", (1280, 720), 30, 4.0, 2 * MEGABIT)
    for number in range(tracks):
        name = f"user{number:02d}"
        write_video_journal(folder, video, minutes * 60, participant=name)
        write_audio_journal(folder, minutes * 60, participant=name)
    return sum(path.stat().st_size for path in folder.iterdir())


def measure(folder: Path, minutes: float, tracks: int, codec: str, *, hls: bool) -> bool:
    journals, output = folder / "journals", folder / "output"
    size = write_journals(journals, minutes, tracks, codec)
    print(f"{tracks} x {minutes:g} min of {codec} and Opus: {size / 1e6:.0f} MB of journals")
    options = json.dumps({"hlsMinutes": minutes} if hls else {})
    command = [sys.executable, "-m", "recorder.finalize", "--options", options]
    command += ["--journals", str(journals), "--output", str(output)]
    ours = cost_of(command, folder / "words")
    files = json.loads((folder / "words").read_text().splitlines()[-1])["result"]["files"]
    speed = tell("finalize", ours, minutes, tracks)
    made = [file for file in files if file["kind"] == "participant"]
    assert len(made) == tracks
    assert all(abs(file["durationSeconds"] - minutes * 60) < 1 for file in made)
    print(f"  files: {', '.join(sorted({file['role'] or file['kind'] for file in files}))}")
    copies = []
    for file in made:
        target = folder / f"copy{Path(file['path']).suffix}"
        flags = ["-movflags", "faststart"] if target.suffix == ".mp4" else []
        copy = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", file["path"], "-c", "copy"]
        copies.append(cost_of([*copy, *flags, str(target)], folder / "words"))
    theirs = Cost(
        sum(copy.seconds for copy in copies),
        sum(copy.cpu for copy in copies),
        max(copy.memory for copy in copies),
    )
    tell("ffmpeg -c copy", theirs, minutes, tracks)
    return speed >= LEAST_SPEED


def tell(name: str, cost: Cost, minutes: float, tracks: int) -> float:
    """How many times real time one core does."""
    length = minutes * 60 * tracks
    print(
        f"  {name:<15} {cost.seconds:6.1f} s: {length / cost.seconds:5.0f} times real time for each"
        f" track; {cost.cpu:6.1f} s of CPU: {length / cost.cpu:5.0f} times;"
        f" {cost.memory / 1e6:.0f} MB at most"
    )
    return length / cost.cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--tracks", type=int, default=4)
    parser.add_argument("--codec", choices=CODECS, action="append")
    parser.add_argument("--hls", action="store_true", help="with a playlist, however short")
    given = parser.parse_args()
    fast = True
    for codec in given.codec or CODECS[:2]:
        folder = Path(tempfile.mkdtemp(prefix="finalizing-"))
        try:
            fast &= measure(folder, given.minutes, given.tracks, codec, hls=given.hls)
        finally:
            shutil.rmtree(folder)
    print(f"at least {LEAST_SPEED:g} times real time: {'yes' if fast else 'no'}")
    sys.exit(0 if fast else 1)


if __name__ == "__main__":
    main()
