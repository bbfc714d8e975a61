"""Where chunks lie, and which numbers they may have. Pure.

    <root>/<set id>/<part>/<sequence // 1000>/<sequence>
    <root>/.incoming/<random>                               of what is still arriving

All numbers are decimal and without padding. Nothing that a client says becomes a name: a set's id is
the catalog's, part and sequence are numbers by the time they get here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from recorder.errors import BadChunkNumber

LAST_PART: Final = 999
LAST_SEQUENCE: Final = 9_999_999
CHUNKS_PER_FOLDER: Final = 1000
CHUNKS: Final = ".chunks"
INCOMING: Final = ".incoming"
SET_ID: Final = re.compile(r"CS_[A-Za-z0-9_-]{1,40}", re.ASCII)
NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


def chunks_root(journals_root: Path) -> Path:
    return journals_root / CHUNKS


def set_folder(root: Path, set_id: str) -> Path:
    """Raises ValueError for what is no id of a set: our own mistake."""
    if not SET_ID.fullmatch(set_id):
        raise ValueError(f"{set_id!r} is no id of a chunk set")
    return root / set_id


def shard_folder(root: Path, set_id: str, part: int, shard: int) -> Path:
    """`shard` counts the folders of a thousand chunks."""
    return set_folder(root, set_id) / str(part) / str(shard)


def check_numbers(part: int, sequence: int = 0) -> None:
    """Raises BadChunkNumber."""
    if not 0 <= part <= LAST_PART:
        raise BadChunkNumber(f"`part` must be from 0 to {LAST_PART}", code="bad_part")
    if not 0 <= sequence <= LAST_SEQUENCE:
        raise BadChunkNumber(f"`sequence` must be from 0 to {LAST_SEQUENCE}", code="bad_sequence")


def number_in(name: str) -> int | None:
    """The number that a file's or folder's name is; None for any other name."""
    return int(name) if NUMBER.fullmatch(name) else None
