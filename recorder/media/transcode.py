"""The job that makes another size of a user's film: `python -m recorder.media.transcode --spec FILE`.

FILE is JSON: `name` (a rendition's: "720p", "hls"), `source` (a path), `format`, `size`, `width`,
`height`, `durationSeconds`, `output` (a folder), `threads`, `mostBytes` (of all that is written). The
result is `{"files": [...]}`, each with `name`, `path`, `contentType`, `size`, `sha256`, `width` and
`height`: one MP4, or of an HLS ladder the master playlist (`hls.m3u8`) and for each rung a playlist and
the file of fragments that it plays.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import av

from recorder.derived.fragments import FragmentedFile, read_fragments
from recorder.derived.hls import PLAYLIST_TYPE
from recorder.derived.playlist import Segment, playlist_text, segments_of
from recorder.errors import MuxFailed, RecorderError
from recorder.job_process import EXIT_FAILED, end_with_parent, refusal, say
from recorder.local_files import partial_of, put_in_place, sha256_of
from recorder.media.confined import Limits, confine
from recorder.media.encode import RungFile, encode
from recorder.media.opening import open_container, open_source
from recorder.media.renditions import HLS, Rung, rungs_of
from recorder.writer import verify

MEMORY: Final = 4 << 30
_TELL_EVERY: Final = 0.005
_CPU_FACTOR: Final = 120  # seconds of a processor for a second of film, at most
_CPU_LEAST: Final = 900
_SMALLEST: Final = 4096  # bytes of a file that may be written in any case


def transcode(
    spec: Mapping[str, Any], on_progress: Callable[[float], None]
) -> list[dict[str, Any]]:
    """Raises RecorderError, av.FFmpegError, ValueError, OSError."""
    output, name = Path(spec["output"]), spec["name"]
    is_hls = name == HLS
    rungs = rungs_of(name, spec["width"], spec["height"])
    files: list[RungFile] = []
    with (
        open_source(Path(spec["source"]), spec["size"], remote=False) as file,
        open_container(file, spec["format"]) as container,
    ):
        sound = bool(container.streams.audio)
        try:
            for rung in rungs:
                path = partial_of(output / (f"hls-{rung.name}.mp4" if is_hls else f"{name}.mp4"))
                options = {"sound": sound, "fragments": is_hls, "threads": spec["threads"]}
                files.append(RungFile(rung, path, **options))
            encode(container, files, spec["durationSeconds"], on_progress, threads=spec["threads"])
        finally:
            for each in files:
                each.close()
    if is_hls:
        return _ladder(files, output)
    verify(files[0].path, "mp4", files[0].counts)
    return [_made(name, _placed(files[0].path), rungs[0], "video/mp4")]


def _ladder(files: Sequence[RungFile], output: Path) -> list[dict[str, Any]]:
    made, variants = [], []
    for file in files:
        fragmented = _read_back(file)
        segments = segments_of(fragmented)
        media = _placed(file.path)
        playlist = media.with_suffix(".m3u8")
        _write(playlist, playlist_text(media.name, fragmented.header_size, segments))
        kind = "audio/mp4" if file.rung.width is None else "video/mp4"
        made.append(_made(f"{HLS}-{file.rung.name}", playlist, file.rung, PLAYLIST_TYPE))
        made.append(_made(f"{HLS}-{file.rung.name}-media", media, file.rung, kind))
        variants.append(_variant(file, segments, playlist.name))
    master = output / f"{HLS}.m3u8"
    _write(master, "\n".join(["#EXTM3U", "#EXT-X-VERSION:7", *variants]) + "\n")
    return [_made(HLS, master, files[-1].rung, PLAYLIST_TYPE), *made]


def _read_back(file: RungFile) -> FragmentedFile:
    fragmented = read_fragments(file.path)
    found = [
        sum(fragment.samples.get(track, 0) for fragment in fragmented.fragments)
        for track in fragmented.tracks
    ]
    if found != file.counts or not fragmented.fragments:
        raise MuxFailed(
            f"{file.counts} packets were written to {file.path.name}, {found} are in it"
        )
    return fragmented


def _variant(file: RungFile, segments: Sequence[Segment], playlist: str) -> str:
    """Two lines of a master playlist (RFC 8216, 4.3.4.2)."""
    total = sum(each.size for each in segments) * 8
    length = sum(each.duration for each in segments)
    peak = max(each.size * 8 / max(each.duration, 0.5) for each in segments)
    size = file.rung
    resolution = "" if size.width is None else f",RESOLUTION={size.width}x{size.height}"
    return (
        f"#EXT-X-STREAM-INF:BANDWIDTH={round(peak)},AVERAGE-BANDWIDTH={round(total / length)}"
        f'{resolution},CODECS="{file.codecs}"\n{playlist}'
    )


def _write(path: Path, text: str) -> None:
    partial_of(path).write_text(text, "utf-8")
    put_in_place(path)


def _placed(partial: Path) -> Path:
    path = partial.with_suffix("")
    put_in_place(path)
    return path


def _made(name: str, path: Path, rung: Rung, content_type: str) -> dict[str, Any]:
    return {
        "name": name,
        "path": str(path),
        "contentType": content_type,
        "size": path.stat().st_size,
        "sha256": sha256_of(path),
        "width": rung.width,
        "height": rung.height,
    }


def _teller() -> Callable[[float], None]:
    told = 0.0

    def tell(fraction: float) -> None:
        nonlocal told
        if fraction - told >= _TELL_EVERY:
            told = fraction
            say({"progress": round(fraction, 4)})

    return tell


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m recorder.media.transcode")
    parser.add_argument("--spec", type=Path, required=True)
    spec = json.loads(parser.parse_args(arguments).spec.read_bytes())
    end_with_parent()
    cpu = _CPU_LEAST + round(_CPU_FACTOR * spec["durationSeconds"])
    files = len(rungs_of(spec["name"], spec["width"], spec["height"]))
    each = max(spec["mostBytes"] // files, _SMALLEST)
    confine(Limits(cpu, wall=4.0 * cpu, memory=MEMORY, file_size=each))
    try:
        say({"result": {"files": transcode(spec, _teller())}})
    except (RecorderError, av.FFmpegError, ValueError, MemoryError, OSError) as error:
        failure = error if isinstance(error, RecorderError) else refusal(error)
        say({"error": {"code": failure.code, "message": str(failure) or "too little memory"}})
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
