"""The job that looks into a file that a user brought: `python -m recorder.media.probe --spec FILE`.

FILE is JSON: `want` ("facts" or "pictures"), `format` as sniffed, `size`, `source` (a path, or with
`remote` the socket of `recorder.media.ranges`), `limits`, and for pictures `output` (a folder) and
`durationSeconds`. The result is `{"facts": {...}}`, `{"pictures": {role: [width, height]}}`, or, for a
file that can't be kept, `{"refused": {"code", "message", "status", "details"}}`. It is
looked into by a process of its own (`recorder.media.confined`); a file that ends that one is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import av

from recorder.errors import FileRefused
from recorder.job_process import EXIT_FAILED, refusal, say
from recorder.media.confined import Ended, Limits, run_confined
from recorder.media.limits import MediaLimits, not_playable
from recorder.media.looking import facts_of
from recorder.media.opening import open_container, open_source
from recorder.media.pictures import make_pictures
from recorder.media.structure import check_structure

LIMITS: Final = Limits(cpu=60, wall=300.0, file_size=64 << 20)


def run(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Raises FileRefused, and OSError when the source or the disk fails."""
    format, size = spec["format"], spec["size"]
    with open_source(Path(spec["source"]), size, remote=spec["remote"]) as file:
        if spec["want"] == "pictures":
            with _opened(file, format) as container:
                output, end = Path(spec["output"]), spec["durationSeconds"]
                return {"pictures": make_pictures(container, output, end)}
        limits = MediaLimits.from_json(spec["limits"])
        scan = check_structure(file, format, size, limits)
        file.seek(0)
        with _opened(file, format) as container:
            return {"facts": facts_of(container, format, size, limits, scan=scan).to_json()}


def _opened(file: Any, format: str) -> Any:
    try:
        return open_container(file, format)
    except (av.FFmpegError, ValueError) as error:
        raise not_playable(f"it can't be read as {format.upper()}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def refused(error: FileRefused) -> dict[str, Any]:
    return {
        "refused": {
            "code": error.code,
            "message": str(error),
            "status": error.status,
            "details": dict(error.details or {}),
        }
    }


def look(spec: Mapping[str, Any]) -> dict[str, Any]:
    """`run`, with every failure as what the job says of it."""
    try:
        return {"result": run(spec)}
    except FileRefused as error:
        return {"result": refused(error)}
    except MemoryError:
        return {"result": refused(not_playable("it can't be decoded: that takes too much memory"))}
    except av.FFmpegError as error:  # some of them are OSErrors
        return {"result": refused(not_playable(f"it can't be decoded: {_reason(error)}"))}
    except OSError as error:
        failure = refusal(error)
        return {"error": {"code": failure.code, "message": str(failure)}}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m recorder.media.probe")
    parser.add_argument("--spec", type=Path, required=True)
    spec = json.loads(parser.parse_args(arguments).spec.read_bytes())
    try:
        said = run_confined(lambda: look(spec), LIMITS)
    except Ended as error:
        if error.by_the_machine:
            say({"error": {"code": "job_failed", "message": f"looking into a file {error}"}})
            return EXIT_FAILED
        limits = f"more than {LIMITS.cpu} s of a processor or {LIMITS.memory >> 20} MiB"
        said = {"result": refused(not_playable(f"looking into it broke off, or took {limits}"))}
    say(said)
    return EXIT_FAILED if "error" in said else 0


if __name__ == "__main__":
    sys.exit(main())
