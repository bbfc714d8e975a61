"""What this process does to the files below a folder, recorded, and replayed up to any operation.

The product is not changed for it: the functions of `os` that change files, and `open`, are replaced for
as long as a recording lasts. What a recording missed is noticed: at its end the model has to look
like the folder.
"""

from __future__ import annotations

import builtins
import io
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.crash.disk_model import Contents, Disk, File

REPLACED: Final = (
    *("open", "close", "write", "pwrite", "ftruncate"),
    *("link", "replace", "unlink", "mkdir", "rmdir"),
)

Step = tuple[str, Callable[[Disk], object]]
"""What was done, for people, and how to do it to a model."""
Faults = Callable[[str, int], OSError | None]
"""Asked before each operation, by kind and by how many of that kind there were: what it fails with."""


def no_faults(_kind: str, _number: int) -> OSError | None:
    return None


@dataclass
class Recording:
    """`steps` hold what was done, and what was promised in between (`promise`)."""

    base: Path
    start: Disk
    disk: Disk
    faults: Faults = no_faults
    steps: list[Step] = field(default_factory=list)
    promises: list[tuple[int, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    open: dict[int, int] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)

    def promise(self, what: Any) -> None:
        """From here on it has to be true whatever happens."""
        with self.lock:
            self.promises.append((len(self.steps), what))

    def promised(self, count: int) -> list[Any]:
        """Before operation number `count`."""
        return [what for at, what in self.promises if at <= count]

    def moments(self) -> Iterator[tuple[int, Disk]]:
        """The disk before the first operation, and after each. Do not change it."""
        disk = self.start.copied()
        yield 0, disk
        for count, (_, step) in enumerate(self.steps, 1):
            step(disk)
            yield count, disk

    def story(self, count: int) -> str:
        return "\n".join(said for said, _ in self.steps[:count])

    # --- what the replaced functions say --------------------------------------------------------------

    def below(self, path: Any, folder: int | None = None) -> str | None:
        """The path below `base`; None of any other."""
        if isinstance(path, int):
            return None
        whole = os.fsdecode(path)
        if folder is not None:
            whole = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), whole)
        absolute = os.path.abspath(whole)
        base = str(self.base)
        if absolute == base:
            return ""
        return absolute[len(base) + 1 :] if absolute.startswith(base + "/") else None

    def ask(self, kind: str) -> None:
        """Raises what the operation is to fail with."""
        number = self.counts.get(kind, 0)
        self.counts[kind] = number + 1
        if (error := self.faults(kind, number)) is not None:
            raise error

    def note(self, said: str, step: Callable[[Disk], object]) -> None:
        self.steps.append((said, step))
        step(self.disk)


@contextmanager
def recorded(
    base: Path, *indifferent: str, start: Disk | None = None, faults: Faults = no_faults
) -> Iterator[Recording]:
    """`start` is what is known of the disk below `base`; else all that is there is on the medium.

    `indifferent` is what it is for a `Disk`.
    """
    begin = start.copied() if start is not None else _as_it_is(base, indifferent)
    recording = Recording(base, begin, begin.copied(), faults)
    with pytest.MonkeyPatch.context() as patch:
        _replace(recording, patch)
        yield recording
    seen, known = look(base), recording.disk.contents()
    assert seen == known, f"the recording missed something: {seen.keys() ^ known.keys()}"


def look(base: Path) -> Contents:
    """What there is below a folder."""
    return {
        str(path.relative_to(base)): None if path.is_dir() else path.read_bytes()
        for path in base.rglob("*")
    }


def build(contents: Contents, base: Path) -> None:
    """Makes a folder look so."""
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    for path in sorted(contents):
        data = contents[path]
        if data is None:
            (base / path).mkdir()
        else:
            (base / path).write_bytes(data)


def build_seen(disk: Disk, base: Path) -> None:
    """The same of what processes see, with names of one file being that."""
    build({path: data for path, data in disk.contents().items() if data is None}, base)
    first: dict[int, Path] = {}
    for path, number in disk.tree().items():
        node = disk.nodes[number]
        if not isinstance(node, File):
            continue
        if number in first:
            (base / path).hardlink_to(first[number])
        else:
            first[number] = base / path
            first[number].write_bytes(node.now)


def _as_it_is(base: Path, indifferent: tuple[str, ...]) -> Disk:
    disk = Disk(*indifferent)
    seen = look(base)
    for path in sorted(seen):
        data = seen[path]
        number = disk.make(path, folder=data is None)
        if data:
            disk.file(number).write(0, data)
    disk.settle()
    return disk


def failing(kind: str, number: int, code: int) -> Faults:
    """Operation `number` of a kind fails once."""

    def fault(asked: str, count: int) -> OSError | None:
        return OSError(code, os.strerror(code)) if (asked, count) == (kind, number) else None

    return fault


# --- the replaced functions -------------------------------------------------------------------------


def _replace(recording: Recording, patch: pytest.MonkeyPatch) -> None:
    disk = recording.disk
    real = {name: getattr(os, name) for name in REPLACED}
    real_open = io.open

    def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        with recording.lock:
            place = recording.below(path, dir_fd)
            known = disk.find(place) if place is not None else None
            creates = place is not None and known is None and flags & os.O_CREAT
            if creates:
                recording.ask("create")
            descriptor: int = real["open"](path, flags, mode, dir_fd=dir_fd)
            recording.open.pop(descriptor, None)
            if place is None:
                return descriptor
            if creates:
                recording.note(f"create {place}", lambda to: to.make(place, folder=False))
            elif flags & os.O_TRUNC and known is not None:
                recording.note(f"truncate {place}", lambda to: to.file(known).truncate(0))
            number = disk.find(place)
            assert number is not None, place
            recording.open[descriptor] = number
            recording.positions[descriptor] = 0
            return descriptor

    def close(descriptor: int) -> None:
        with recording.lock:
            recording.open.pop(descriptor, None)
            real["close"](descriptor)

    def written(descriptor: int, number: int, offset: int, data: bytes) -> None:
        said = f"write {len(data)} at {offset} of file {number}"
        recording.note(said, lambda to: to.file(number).write(offset, data))

    def write(descriptor: int, data: Any) -> int:
        with recording.lock:
            number = recording.open.get(descriptor)
            if number is None:
                return int(real["write"](descriptor, data))
            recording.ask("write")
            count = int(real["write"](descriptor, data))
            at = recording.positions[descriptor]
            recording.positions[descriptor] = at + count
            if count:
                written(descriptor, number, at, bytes(data)[:count])
            return count

    def pwrite(descriptor: int, data: Any, offset: int) -> int:
        with recording.lock:
            number = recording.open.get(descriptor)
            if number is not None:
                recording.ask("write")
            count = int(real["pwrite"](descriptor, data, offset))
            if number is not None and count:
                written(descriptor, number, offset, bytes(data)[:count])
            return count

    def fsync(descriptor: int) -> None:
        with recording.lock:
            number = recording.open.get(descriptor)
            if number is None:
                return  # nobody asks what becomes of it
            try:
                recording.ask("fsync")
            except OSError:
                recording.note(f"flush of {number} fails", lambda to: to.fail(number))
                raise
            recording.note(f"flush {number}", lambda to: to.flush(number))

    def ftruncate(descriptor: int, size: int) -> None:
        with recording.lock:
            number = recording.open.get(descriptor)
            if number is not None:
                recording.ask("truncate")
            real["ftruncate"](descriptor, size)
            if number is not None:
                said = f"truncate {number} to {size}"
                recording.note(said, lambda to: to.file(number).truncate(size))

    def link(old: Any, new: Any, **options: Any) -> None:
        with recording.lock:
            place = recording.below(new)
            number = disk.find(recording.below(old) or "")
            if place is not None and disk.find(place) is None:
                recording.ask("link")
            real["link"](old, new, **options)
            if place is not None:
                assert number is not None
                recording.note(f"link {number} to {place}", lambda to: to.link(number, place))

    def rename(old: Any, new: Any) -> None:
        with recording.lock:
            source, target = recording.below(old), recording.below(new)
            if source is not None and disk.find(source) is not None:
                recording.ask("rename")
            real["replace"](old, new)
            if source is not None and target is not None:
                recording.note(f"rename {source} to {target}", lambda to: to.rename(source, target))

    def removal(name: str) -> Callable[..., None]:
        def remove(path: Any, *, dir_fd: int | None = None) -> None:
            with recording.lock:
                place = recording.below(path, dir_fd)
                if place is not None and disk.find(place) is not None:
                    recording.ask(name)
                real[name](path, dir_fd=dir_fd)
                if place is not None:
                    recording.note(f"{name} {place}", lambda to: to.unlink(place))

        return remove

    def mkdir(path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        with recording.lock:
            place = recording.below(path, dir_fd)
            if place is not None and disk.find(place) is None:
                recording.ask("mkdir")
            real["mkdir"](path, mode, dir_fd=dir_fd)
            if place is not None:
                recording.note(f"mkdir {place}", lambda to: to.make(place, folder=True))

    class Raw(io.FileIO):
        """A file that is opened with `open`, whose writes pass by `os.write` else."""

        def write(self, data: Any) -> int:  # type: ignore[override]
            return write(self.fileno(), bytes(data))

        def truncate(self, size: int | None = None) -> int:
            ftruncate(self.fileno(), length := self.tell() if size is None else size)
            return length

        def close(self) -> None:
            with recording.lock:
                if not self.closed:
                    recording.open.pop(self.fileno(), None)
                super().close()

    def open_file(
        file: Any, mode: str = "r", buffering: int = -1, *more: Any, **options: Any
    ) -> Any:
        if recording.below(file) is None or not set(mode) & set("wxa+"):
            return real_open(file, mode, buffering, *more, **options)
        raw = Raw(file, mode.replace("b", "").replace("t", ""), opener=open_)
        if buffering == 0:
            return raw
        buffered = io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *more, **options)

    replaced = {"open": open_, "close": close, "write": write, "pwrite": pwrite, "fsync": fsync}
    replaced |= {"ftruncate": ftruncate, "link": link, "rename": rename, "replace": rename}
    replaced |= {
        "unlink": removal("unlink"),
        "remove": removal("unlink"),
        "rmdir": removal("rmdir"),
    }
    replaced |= {"mkdir": mkdir, "fdatasync": fsync}
    for name, function in replaced.items():
        patch.setattr(os, name, function)
    patch.setattr(io, "open", open_file)
    patch.setattr(builtins, "open", open_file)
