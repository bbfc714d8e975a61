"""Files that arrive piece by piece, at every moment, and the power goes or the process dies.

What is told of a file's length afterwards is at least what was told before, and at most what came; the
bytes up to there are those that were sent; and what is told once more is as durable as the first time.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Container, Iterator
from pathlib import Path

import pytest

from recorder.uploads.spool import Spool
from tests.crash.disk_model import Contents, Disk
from tests.crash.recorded_disk import Recording, build, build_seen, failing, recorded

NAME = "UP_0123456789"
SENT = b"plain, flushed and kept; then checked; wrong is not here; at last"
PLACE = f"journals/.uploads/{NAME}"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "data" / "journals").mkdir(parents=True)
    return tmp_path / "data"


def spool_in(base: Path, boot: str = "1") -> Spool:
    return Spool(base / "journals" / ".uploads", boot)


def write(spool: Spool, told: Recording, at: int, end: int, *, checked: bool = False) -> None:
    """One piece, in several writes."""
    with spool.open(NAME) as arrival:
        told.promise(arrival.durable)
        if arrival.durable != at:
            raise BlockingIOError("it goes on elsewhere")
        if checked:
            arrival.check_with("sha1")
        for begin in range(at, end, 16):
            arrival.write(SENT[begin : min(begin + 16, end)])
            if begin == at:
                told.promise(arrival.flush())
        told.promise(arrival.keep())


def work(spool: Spool, told: Recording) -> None:
    spool.create(NAME)
    told.promise(0)
    write(spool, told, 0, 25)
    write(spool, told, 25, 39, checked=True)
    with spool.open(NAME) as arrival:  # a piece whose checksum is wrong
        arrival.check_with("sha1")
        arrival.write(b"something else")
        told.promise(arrival.discard())
    with spool.open(NAME) as arrival:  # one that breaks off, and nobody says so
        arrival.write(SENT[39:50])
    with spool.open(NAME) as arrival:
        told.promise(arrival.durable)
    write(spool, told, 50, len(SENT), checked=True)


def promised(told: Recording, count: int) -> int:
    """The length that was told before an operation; -1 while there is no file."""
    return max(told.promised(count), default=-1)


def assert_told(base: Path, least: int, where: str, boot: str) -> int:
    """What a server says that starts there: all that was told before, and nothing that never came."""
    with spool_in(base, boot).open(NAME) as arrival:
        assert least <= arrival.durable, f"{arrival.durable} of {least} bytes after\n{where}"
        told = (base / PLACE).read_bytes()
        assert len(told) == arrival.durable
        assert told == SENT[: arrival.durable], f"{told!r} after\n{where}"
        return arrival.durable


def distinct(disk: Disk, seen: set[frozenset[tuple[str, bytes | None]]]) -> Iterator[Contents]:
    for contents in disk.states():
        if (state := frozenset(contents.items())) not in seen:
            seen.add(state)
            yield contents


def test_after_a_power_cut_at_any_moment(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorded(base) as told:
        work(spool_in(base), told)
    assert promised(told, len(told.steps)) == len(SENT)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    assert check(told, tmp_path / "again") > 50


def test_a_kill_at_any_moment_and_then_a_power_cut(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorded(base) as told:
        work(spool_in(base), told)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    for count, disk in told.moments():
        if (least := promised(told, count)) < 0:
            continue
        again = tmp_path / "again"
        build_seen(disk, again)
        with recorded(again, start=disk) as after:
            after.promise(assert_told(again, least, f"{told.story(count)}\nkilled", "1"))
        check(after, tmp_path / "later", least)


def check(told: Recording, again: Path, least: int = -1, only: Container[int] | None = None) -> int:
    """All that a power cut may leave at any moment, or at some; how many. `least` was told before."""
    seen: dict[int, set[frozenset[tuple[str, bytes | None]]]] = {}
    for count, disk in told.moments():
        if only is not None and count not in only:
            continue
        known = max(least, promised(told, count))
        for contents in distinct(disk, seen.setdefault(known, set())) if known >= 0 else ():
            build(contents, again)
            assert_told(again, known, told.story(count), "2")
    return sum(map(len, seen.values()))


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("fsync", errno.EIO),
        ("write", errno.ENOSPC),
        ("create", errno.ENOSPC),
        ("truncate", errno.EIO),
    ],
)
def test_any_operation_fails_once(
    base: Path, tmp_path: Path, kind: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a flush that failed nothing counts that was not written once more."""
    with recorded(base) as counting:
        assert _insist(spool_in(base), counting) == 0
    struck = 0
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    for number in range(counting.counts[kind]):
        folder = tmp_path / f"{kind}{number}"
        (folder / "journals").mkdir(parents=True)
        with recorded(folder, faults=failing(kind, number, code)) as told:
            struck += _insist(spool_in(folder), told)
        assert promised(told, len(told.steps)) == len(SENT)
        check(told, tmp_path / "again", only=_near_faults(told) | {at for at, _ in told.promises})
    assert struck


def _near_faults(told: Recording) -> set[int]:
    """The operations that follow a flush that failed, until all is well again."""
    failed = [at for at, (said, _) in enumerate(told.steps) if said.endswith("fails")]
    return {after for at in failed for after in range(at, at + 8)}


def _insist(spool: Spool, told: Recording) -> int:
    """A client that comes back after every error, and asks where to go on; how often it had to."""
    errors = 0
    while True:
        try:
            if not told.promises:
                spool.create(NAME)
                told.promise(0)
            while (at := _length(spool, told)) < len(SENT):
                if at == 35:
                    with spool.open(NAME) as arrival:
                        arrival.check_with("sha1")
                        arrival.write(b"something else")
                        told.promise(arrival.discard())
                write(spool, told, at, min(at + 35, len(SENT)), checked=at % 2 == 1)
        except OSError:
            errors += 1
            assert errors < 5
        else:
            return errors


def _length(spool: Spool, told: Recording) -> int:
    with spool.open(NAME) as arrival:
        told.promise(arrival.durable)
        return arrival.durable
