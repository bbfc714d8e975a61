"""What a composite costs, beside an `ffmpeg` command line that makes the same one.

    python -m tests.bench.rendering [--seconds 30] [--rounds 2] [--threads 2]

Both make a grid of the same four 720p sources (VP8 and Opus) with the same encoder settings, in
turns, each as a process of its own that gives way to others alike; the best round of each counts.
Ours draws names besides, and afterwards reads its film through, hashes it and makes the pictures for
the library; that is in its time. What ours made is looked at: every counter has to be in its place.

Prints seconds of media a second and CPU seconds of each and the ratios; exits with 1 when ours is
slower than 0.8 of `ffmpeg`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from recorder.composite.encoder import KEYFRAME_SECONDS, PRESET
from recorder.composite.layout import Seat, arrange
from recorder.composite.spec import AUDIO_BITRATE, RenderSpec
from recorder.render import give_way
from tests.media_truth import FRAME_RATE
from tests.recorder.composite.known_films import (
    FIRST,
    PITCH,
    Content,
    Stage,
    beeps,
    counters_of,
    still_moving,
)

LEAST = 0.8
BITRATE = 2_500_000
PEOPLE = ("alice", "bob", "carol", "dave")


@dataclass(frozen=True, slots=True)
class Cost:
    seconds: float
    cpu: float


def cost_of(command: list[str]) -> Cost:
    """Of a child process and its children, start included; it gets no terminal and no end of input."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
        status = child.wait()
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if status:
        raise SystemExit(f"{command[0]} ended with {status}")
    return Cost(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def ffmpeg(spec: RenderSpec, output: Path) -> list[str]:
    """The same film as a command line, without the names."""
    command = ["ffmpeg", "-y", "-v", "error"]
    for source in spec.sources:
        command += ["-i", str(source.path)]
    scaled = "".join(f"[{n}:v]scale=640:360[v{n}];" for n in range(4))
    stacked = "[v0][v1][v2][v3]xstack=inputs=4:layout=0_0|w0_0|0_h0|w0_h0[v];"
    mixed = "[0:a][1:a][2:a][3:a]amix=inputs=4:normalize=0[a]"
    command += ["-filter_complex", scaled + stacked + mixed, "-map", "[v]", "-map", "[a]"]
    command += ["-c:v", "libx264", "-preset", PRESET, "-threads", str(spec.threads)]
    command += [
        "-b:v",
        str(BITRATE),
        "-maxrate",
        str(BITRATE * 3 // 2),
        "-bufsize",
        str(2 * BITRATE),
    ]
    command += ["-g", str(KEYFRAME_SECONDS * FRAME_RATE), "-r", str(FRAME_RATE)]
    command += ["-c:a", "aac", "-b:a", str(AUDIO_BITRATE), "-ar", "48000"]
    return [*command, "-movflags", "+faststart", str(output)]


def made(folder: Path, seconds: int, threads: int) -> RenderSpec:
    """Four sources and the order to render them."""
    stage = Stage(folder)
    for who in PEOPLE:
        content = Content(
            FIRST[who],
            still_moving(seconds),
            (1280, 720),
            keyframe_every=120,
            sound=beeps(PITCH[who]),
            sound_span=(0, seconds),
        )
        stage.add(who, content)
    return replace(stage.spec(video_bitrate=BITRATE), threads=threads)


def check(spec: RenderSpec, seconds: int) -> None:
    """Raises SystemExit when a picture is missing, twice, or in another's place."""
    tiles = arrange("grid", [Seat(who, "camera") for who in PEOPLE], (1280, 720))
    places = [tile.rectangle for tile in tiles]
    for tick, counters in enumerate(counters_of(spec.output, places)):
        wanted = [FIRST[who] + tick for who in PEOPLE]
        if counters != wanted:
            raise SystemExit(f"picture {tick} shows {counters}, not {wanted}")
    if tick + 1 != seconds * FRAME_RATE:
        raise SystemExit(f"the film has {tick + 1} pictures, not {seconds * FRAME_RATE}")


def compare(seconds: int, rounds: int, threads: int) -> bool:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = made(folder, seconds, threads)
        order = folder / "spec.json"
        order.write_text(json.dumps(spec.to_json()))
        ours = [sys.executable, "-m", "recorder.render", "--spec", str(order)]
        theirs = ffmpeg(spec, folder / "theirs.mp4")
        costs: dict[str, list[Cost]] = {"mediaserver": [], "ffmpeg": []}
        for _ in range(rounds):
            costs["ffmpeg"].append(cost_of(theirs))
            costs["mediaserver"].append(cost_of(ours))
        check(spec, seconds)
    best = {
        name: Cost(min(each.seconds for each in runs), min(each.cpu for each in runs))
        for name, runs in costs.items()
    }
    print(f"{len(PEOPLE)} sources of 720p in a grid of 720p, {seconds} s, {threads} threads")
    for name, cost in best.items():
        walls = ", ".join(f"{each.seconds:.1f}" for each in costs[name])
        speed = f"{seconds / cost.seconds:5.2f} x real time"
        print(f"{name:<12} {speed}  {cost.cpu:6.1f} s of CPU  ({walls} s)")
    ratio = best["ffmpeg"].seconds / best["mediaserver"].seconds
    cpu = best["ffmpeg"].cpu / best["mediaserver"].cpu
    print(f"throughput ratio {ratio:.2f} (at least {LEAST}), by CPU {cpu:.2f}")
    return ratio >= LEAST


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 2, 8))
    given = parser.parse_args()
    give_way()  # both inherit it
    sys.exit(0 if compare(given.seconds, given.rounds, given.threads) else 1)


if __name__ == "__main__":
    main()
