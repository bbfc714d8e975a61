"""A disk as a power cut may leave it. Pure.

POSIX promises of a file what was flushed with it, and of a name what was flushed with its folder;
all else may be there or not, whichever came first. Two things are taken for granted because every
file system that a server runs on has them: the changes of one name keep their order, and a rename
never loses what it moves.

A flush that fails is worse than none: the kernel may take what it could not write for written, so
that the next flush says that all is well (`failed`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import PurePosixPath
from typing import Final

ROOT: Final = 0
MOST_STATES: Final = 20_000  # at one moment; more means that a test has too much under way at once

Tree = dict[str, int]
"""Paths below the root, and the numbers of the files and folders that they name."""
Contents = dict[str, bytes | None]
"""Paths below the root; None for a folder."""


@dataclass(slots=True)
class File:
    """`now` is what processes see, `kept` what the medium has. `dirty` are the ranges that were
    written since, as far as the kernel knows.
    """

    now: bytes = b""
    kept: bytes = b""
    dirty: list[tuple[int, int]] = field(default_factory=list)
    versions: list[bytes] = field(default_factory=list)  # what it was since the last flush

    def write(self, offset: int, data: bytes) -> None:
        before = self.now.ljust(offset, b"\0")
        self.now = before[:offset] + data + before[offset + len(data) :]
        self.dirty.append((offset, offset + len(data)))
        self.versions.append(self.now)

    def truncate(self, size: int) -> None:
        self.now = self.now[:size].ljust(size, b"\0")
        self.dirty = [(begin, min(end, size)) for begin, end in self.dirty if begin < size]
        self.versions.append(self.now)

    def flush(self) -> None:
        kept = bytearray(self.kept[: len(self.now)].ljust(len(self.now), b"\0"))
        for begin, end in self.dirty:
            kept[begin:end] = self.now[begin:end]
        self.kept = bytes(kept)
        self.dirty, self.versions = [], []

    def fail(self) -> None:
        self.dirty, self.versions = [], []

    def variants(self) -> list[bytes]:
        """What it may be after a power cut: as it was at any time since the last flush; as long as
        then, but with zeros for what was not written; with either half of what came last.
        """
        if not self.versions:
            return [self.kept]
        found = [self.kept, *self.versions]
        size = len(self.now)
        lost = bytearray(self.now)
        for begin, end in self.dirty:
            lost[begin:end] = self.kept[begin:end].ljust(end - begin, b"\0")
        found.append(bytes(lost[:size]))
        if self.dirty:
            begin, end = self.dirty[-1]
            middle = (begin + end) // 2
            came = self.now[:middle] + bytes(lost[middle : len(self.kept)])
            found += [came, bytes(lost[:middle]) + self.now[middle:]]
        return list(dict.fromkeys(found))


@dataclass(slots=True)
class Folder:
    now: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Change:
    """Of one folder: names, and what they name afterwards (None: nothing). `after` has to have happened
    for this to have."""

    folder: int
    names: dict[str, int | None]
    after: Change | None = None
    failed: bool = False
    kept: bool = False


class Disk:
    """In folders whose names begin with one of `indifferent` it does not matter what a power cut leaves:
    all or nothing of it.
    """

    def __init__(self, *indifferent: str) -> None:
        self.nodes: dict[int, File | Folder] = {ROOT: Folder()}
        self.pending: list[Change] = []
        self._indifferent = indifferent
        self._tied: set[int] = set()  # the numbers of such folders

    def copied(self) -> Disk:
        return copy.deepcopy(self)

    # --- what processes do ------------------------------------------------------------------------

    def find(self, path: str) -> int | None:
        number = ROOT
        for name in PurePosixPath(path).parts:
            node = self.nodes[number]
            if not isinstance(node, Folder) or name not in node.now:
                return None
            number = node.now[name]
        return number

    def file(self, number: int) -> File:
        node = self.nodes[number]
        assert isinstance(node, File)
        return node

    def make(self, path: str, *, folder: bool) -> int:
        number = len(self.nodes)
        self.nodes[number] = Folder() if folder else File()
        self.link(number, path)
        self._tie(path)
        return number

    def link(self, number: int, path: str) -> None:
        folder, name = self._place(path)
        self._change(Change(folder, {name: number}))

    def unlink(self, path: str) -> None:
        folder, name = self._place(path)
        self._change(Change(folder, {name: None}))

    def rename(self, old: str, new: str) -> None:
        number = self.find(old)
        assert number is not None
        (source, name), (target, new_name) = self._place(old), self._place(new)
        if source == target:
            self._change(Change(source, {name: None, new_name: number}))
        else:
            arrival = Change(target, {new_name: number})
            self._change(arrival)
            self._change(Change(source, {name: None}, after=arrival))
        self._tie(new)

    def flush(self, number: int) -> None:
        node = self.nodes[number]
        if isinstance(node, File):
            node.flush()
            return
        for change in self._of(number):
            if not change.failed:
                self._keep(change)
        self.pending = [each for each in self.pending if each.folder != number and not each.kept]

    def fail(self, number: int) -> None:
        """A flush that did not get through."""
        node = self.nodes[number]
        if isinstance(node, File):
            node.fail()
            return
        for change in self._of(number):
            change.failed = True

    def settle(self) -> None:
        """All that there is is on the medium."""
        for number in list(self.nodes):
            self.flush(number)

    def _of(self, folder: int) -> list[Change]:
        return [change for change in self.pending if change.folder == folder]

    def _keep(self, change: Change) -> None:
        if change.after is not None and not change.after.kept:
            self._keep(change.after)
        node = self.nodes[change.folder]
        assert isinstance(node, Folder)
        _apply(node.kept, change.names)
        change.kept = True

    def _place(self, path: str) -> tuple[int, str]:
        pure = PurePosixPath(path)
        number = self.find(str(pure.parent))
        assert number is not None, path
        return number, pure.name

    def _change(self, change: Change) -> None:
        node = self.nodes[change.folder]
        assert isinstance(node, Folder)
        _apply(node.now, change.names)
        self.pending.append(change)

    # --- what is there ------------------------------------------------------------------------------

    def tree(self) -> Tree:
        """What processes see."""
        return self._walk({n: node.now for n, node in self.nodes.items() if _is_folder(node)})

    def contents(self) -> Contents:
        return {path: self._now(number) for path, number in self.tree().items()}

    def states(self) -> Iterator[Contents]:
        """All that a power cut may leave now, some of it several times."""
        count = 0
        for entries in self._entries():
            tree = self._walk(entries)
            dirty = {number for path, number in tree.items() if self._matters(path)}
            files = [number for number in dirty if isinstance(self.nodes[number], File)]
            for chosen in product(*(self.file(number).variants() for number in files)):
                count += 1
                assert count <= MOST_STATES, "too much is under way at once for all its states"
                variant = dict(zip(files, chosen, strict=True))
                yield {
                    path: variant[number] if number in variant else self._kept(number)
                    for path, number in tree.items()
                }

    def _matters(self, path: str) -> bool:
        parts = PurePosixPath(path).parts
        return not (self._indifferent and any(each.startswith(self._indifferent) for each in parts))

    def _tie(self, path: str) -> None:
        """All folders from here on, when it does not matter what is in them."""
        if not self._matters(path):
            found = self.tree().items()
            self._tied |= {n for each, n in found if f"{each}/".startswith(f"{path}/")}

    def _entries(self) -> Iterator[dict[int, dict[str, int]]]:
        """The names in each folder, for every set of changes that may have reached the medium."""
        pending = [change for change in self.pending if not change.failed]
        loose = [change for change in pending if change.folder not in self._tied]
        tied = [change for change in pending if change.folder in self._tied]
        for chosen in _subsets(loose):
            for rest in ((), tied) if tied else ((),):
                reached = {id(change) for change in (*chosen, *rest)}
                entries = {
                    n: dict(node.kept) for n, node in self.nodes.items() if isinstance(node, Folder)
                }
                for change in pending:
                    after = change.after
                    if id(change) in reached and (
                        after is None or after.kept or id(after) in reached
                    ):
                        _apply(entries[change.folder], change.names)
                yield entries

    def _walk(self, entries: dict[int, dict[str, int]]) -> Tree:
        found: Tree = {}
        left = [("", ROOT)]
        while left:
            path, number = left.pop()
            for name, child in entries[number].items():
                found[below := f"{path}{name}"] = child
                if child in entries:
                    left.append((f"{below}/", child))
        return found

    def _now(self, number: int) -> bytes | None:
        node = self.nodes[number]
        return node.now if isinstance(node, File) else None

    def _kept(self, number: int) -> bytes | None:
        node = self.nodes[number]
        return node.kept if isinstance(node, File) else None


def _is_folder(node: File | Folder) -> bool:
    return isinstance(node, Folder)


def _apply(entries: dict[str, int], names: dict[str, int | None]) -> None:
    for name, number in names.items():
        if number is None:
            entries.pop(name, None)
        else:
            entries[name] = number


def _subsets(changes: list[Change]) -> Iterator[tuple[Change, ...]]:
    """Every choice in which the changes of each name are the first ones of that name."""
    if not changes:
        yield ()
        return
    last, before = changes[-1], changes[:-1]
    mine = {(last.folder, name) for name in last.names}
    needed = [each for each in before if mine & {(each.folder, name) for name in each.names}]
    for chosen in _subsets(before):
        yield chosen
        if all(each in chosen for each in needed):
            yield (*chosen, last)
