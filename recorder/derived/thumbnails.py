"""Poster, strip and cues of a file with video: what a library shows before it plays.

The poster is the first picture that shows something; the strip is one image of small pictures evenly
over the file, and the cues say which of them belongs to which time. They are made by a process of
its own (`recorder.derived.pictures`): a file that breaks a decoder has no pictures, and nothing else
happens.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recorder.derived.names import cues_of, poster_of, strip_of
from recorder.jobs import FinalizedFile
from recorder.local_files import put_in_place, sha256_of

KIND = "thumbnail"
TIMEOUT_S = 120.0
"""Nothing takes so long; a decoder that hangs is ended."""

_FILES = {
    "poster": (poster_of, "image/jpeg"),
    "strip": (strip_of, "image/jpeg"),
    "cues": (cues_of, "text/vtt"),
}

log = logging.getLogger(__name__)


def derive(file: FinalizedFile) -> list[FinalizedFile]:
    """The three files, beside `file`; none without video, or when its pictures can't be decoded.

    Blocks for a second or two. Raises OSError when the disk does not take them.
    """
    if not file.content_type.startswith("video/"):
        return []
    made = _run(file.path)
    if made.get("errno"):
        raise OSError(made["errno"], f"the pictures of {file.path.name} can't be kept")
    return [_derived(file, role, size) for role, size in made.items() if role in _FILES]


def _run(path: Path) -> Mapping[str, Any]:
    """What the process says; nothing when it died, or was ended."""
    lifeline, held = os.pipe()  # it ends when this process does, and with it the other end
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "recorder.derived.pictures", str(path)],
            stdin=lifeline,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
        made = json.loads(done.stdout)
    except (ValueError, subprocess.TimeoutExpired):
        log.warning("no pictures of %s can be shown", path.name)
        return {}
    finally:
        os.close(lifeline)
        os.close(held)
    return made if isinstance(made, dict) else {}


def _derived(file: FinalizedFile, role: str, size: tuple[int, int]) -> FinalizedFile:
    name_of, content_type = _FILES[role]
    path = name_of(file.path)
    put_in_place(path)
    return FinalizedFile(
        path=path,
        kind=KIND,
        participant_id=file.participant_id,
        content_type=content_type,
        size=path.stat().st_size,
        sha256=sha256_of(path),
        duration_seconds=0.0,
        width=size[0],
        height=size[1],
        start_seconds=file.start_seconds,
        participant_name=file.participant_name,
        source=file.source,
        role=role,
        derived_from=file.path.name,
    )
