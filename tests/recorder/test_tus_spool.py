"""Files that arrive piece by piece: what counts after the process died at any point of a piece."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.uploads.spool import LENGTH, Spool
from recorder.uploads.sure_length import PLACES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def content(spool: Spool, name: str = "UP_a") -> bytes:
    return spool.path(name).read_bytes()


def length(spool: Spool, name: str = "UP_a") -> int:
    with spool.open(name) as arrival:
        return arrival.durable


def append(spool: Spool, data: bytes, name: str = "UP_a") -> int:
    with spool.open(name) as arrival:
        arrival.write(data)
        return arrival.keep()


def test_pieces_follow_each_other(spool: Spool) -> None:
    spool.create("UP_a")
    assert length(spool) == 0
    assert append(spool, b"first ") == 6
    assert append(spool, b"second") == 12
    assert content(spool) == b"first second"
    assert length(spool) == 12


def test_a_name_is_given_once(spool: Spool) -> None:
    spool.create("UP_a")
    with pytest.raises(FileExistsError):
        spool.create("UP_a")


def test_files_are_for_nobody_else(spool: Spool) -> None:
    spool.create("UP_a")
    assert spool.path("UP_a").stat().st_mode & 0o777 == 0o600
    assert spool.root.stat().st_mode & 0o777 == 0o700


def test_what_was_written_and_not_kept_counts_as_far_as_it_came(spool: Spool) -> None:
    spool.create("UP_a")
    append(spool, b"kept")
    with spool.open("UP_a") as arrival:
        arrival.write(b" torn")
        assert (arrival.start, arrival.end, arrival.durable) == (4, 9, 4)
        assert arrival.flush() == 9
    assert length(spool) == 9


def test_a_piece_with_a_checksum_counts_only_as_a_whole(spool: Spool) -> None:
    spool.create("UP_a")
    append(spool, b"kept")
    with spool.open("UP_a") as arrival:
        arrival.check_with("sha1")
        arrival.write(b" torn")
        assert arrival.flush() == 4
    assert length(spool) == 4
    assert content(spool) == b"kept"


def test_a_piece_with_a_right_checksum_is_kept(spool: Spool) -> None:
    spool.create("UP_a")
    append(spool, b"kept")
    with spool.open("UP_a") as arrival:
        arrival.check_with("sha256")
        arrival.write(b" and ")
        arrival.write(b"checked")
        assert arrival.digest() == hashlib.sha256(b" and checked").digest()
        assert arrival.keep() == 16
    assert length(spool) == 16


def test_a_discarded_piece_leaves_no_trace(spool: Spool) -> None:
    spool.create("UP_a")
    append(spool, b"kept")
    with spool.open("UP_a") as arrival:
        arrival.write(b" wrong")
        arrival.flush()
        assert arrival.discard() == 4
        arrival.write(b" right")
        assert arrival.keep() == 10
    assert content(spool) == b"kept right"


@pytest.mark.parametrize("torn", [b"", b"\0" * 40, b"9 999 0 x 1\n", b"9 4"])
@pytest.mark.parametrize("place", PLACES)
def test_a_length_that_was_torn_leaves_the_one_before(
    spool: Spool, torn: bytes, place: int
) -> None:
    spool.create("UP_a")
    append(spool, b"kept")
    append(spool, b" more")
    beside = Path(f"{spool.path('UP_a')}{LENGTH}")
    whole = beside.read_bytes()
    beside.write_bytes(whole[:place] + torn.ljust(64, b"\0") + whole[place + 64 :])
    with Spool(spool.root, "another boot").open("UP_a") as arrival:
        assert arrival.durable in (4, 9)
        assert content(spool) == b"kept more"[: arrival.durable]


def test_what_was_not_flushed_before_the_machine_died_does_not_count(spool: Spool) -> None:
    """The file may have its length already, and not its bytes."""
    spool.create("UP_a")
    append(spool, b"kept")
    with spool.path("UP_a").open("ab") as file:
        file.write(bytes(100))
    with Spool(spool.root, "another boot").open("UP_a") as arrival:
        assert arrival.durable == 4
    assert content(spool) == b"kept"


def test_a_lost_length_is_a_lost_file(spool: Spool) -> None:
    spool.create("UP_a")
    Path(f"{spool.path('UP_a')}{LENGTH}").unlink()
    with pytest.raises(FileNotFoundError):
        spool.open("UP_a")


def test_removing_takes_the_length_along(spool: Spool) -> None:
    spool.create("UP_a")
    with spool.open("UP_a") as arrival:
        arrival.check_with("sha1")
        spool.remove("UP_a")
    spool.remove("UP_a")
    assert spool.sizes() == {}
    with pytest.raises(FileNotFoundError):
        spool.open("UP_a")


def test_sizes_in_a_folder_that_is_not_there(spool: Spool) -> None:
    assert spool.sizes() == {}


WRITER = """
import sys
from pathlib import Path
from recorder.uploads.spool import Spool
spool, algorithm = Spool(Path(sys.argv[1])), sys.argv[2]
while True:
    with spool.open("UP_a") as arrival:
        if algorithm:
            arrival.check_with(algorithm)
        for _ in range(4):
            arrival.write(b"0123456789" * 100)
        print(arrival.keep(), flush=True)
"""


@pytest.mark.parametrize("algorithm", ["", "sha1"])
def test_the_offset_after_kill_9_is_at_least_what_was_acknowledged(
    spool: Spool, algorithm: str
) -> None:
    spool.create("UP_a")
    told = 0
    for pieces in (1, 3, 7):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(spool.root), algorithm],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as writer:
            assert writer.stdout is not None
            for _ in range(pieces):
                told = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
        kept = length(spool)
        assert kept >= told
        assert content(spool) == (b"0123456789" * (kept // 10 + 1))[:kept]
        if algorithm:
            assert kept % 4000 == 0, "a part of a piece that was never checked"
