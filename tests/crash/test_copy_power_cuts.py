"""From acknowledged chunks to the recording's file, at every moment, and the power goes.

The catalog keeps what it committed; the folder may be whatever a power cut leaves of it then. At every
such moment each acknowledged chunk is under its number, or the stored object that the recording has
is made of it. And a server that starts there brings the recording to its end, with every byte.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from recorder.chunks.leftovers import SCRATCH
from recorder.chunks.settling import LONGEST
from recorder.lifecycle import FINAL
from storage.objects import LocalStore
from tests.crash.disk_model import Contents
from tests.crash.recorded_disk import Recording, build, recorded
from tests.recorder.copy_house import CopyHouse, chunk, chunks, open_copy_house

LAST = 2
STORE = ".store"  # beside the journals, so that one model has both
INDIFFERENT = (".incoming", ".deleted-", SCRATCH)


@dataclass
class Commits:
    """The catalog's file before each commit, and how much was done to the folder by then."""

    file: Path
    told: Recording
    versions: list[tuple[int, bytes]] = field(default_factory=list)

    def note(self, _connection: object = None) -> None:
        copy = self.file.with_suffix(".copy")
        with (
            closing(sqlite3.connect(self.file)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        self.versions.append((len(self.told.steps), copy.read_bytes()))
        copy.unlink()

    def at(self, count: int) -> Iterator[bytes]:
        """What the catalog may hold after so many operations on the folder."""
        since = 0
        for until, version in self.versions:
            if since <= count <= until:
                yield version
            since = until


@contextmanager
def noted(file: Path, told: Recording) -> Iterator[Commits]:
    commits = Commits(file, told)
    event.listen(Engine, "commit", commits.note)
    try:
        yield commits
    finally:
        event.remove(Engine, "commit", commits.note)
    commits.note()


@asynccontextmanager
async def home_in(folder: Path) -> AsyncIterator[CopyHouse]:
    """Its objects are files on the same disk."""
    async with open_copy_house(folder) as home:
        await home.end()
        store = LocalStore(folder / "journals" / STORE)
        home.house.store = store  # type: ignore[assignment]
        home.start_again()
        yield home
        await store.close()


async def prepare(home: CopyHouse) -> None:
    """As a server does at its start."""
    assert isinstance(home.house.store, LocalStore)
    await home.house.store.prepare()


async def stored(home: CopyHouse, key: str) -> bytes:
    return b"".join([block async for block in home.house.store.open(key)])


async def whole_life(home: CopyHouse, told: Recording) -> None:
    """All that becomes of a recording whose only media is one participant's copy."""
    await prepare(home)
    row = await home.start("client")
    for sequence in range(LAST + 1):
        await home.send(row, sequence)
        told.promise(sequence)
    await home.complete(row, {0: LAST})
    await home.service.stop(row.id)
    row = await home.until(row, *FINAL)
    assert row.status == "recorded", row.error
    assert await stored(home, row.files[0].key) == chunks(LAST)


def keys_in(version: bytes, place: Path) -> list[str]:
    """Of the files that the recordings of a catalog have."""
    place.write_bytes(version)
    with closing(sqlite3.connect(place)) as database:
        return [key for (key,) in database.execute("SELECT key FROM recording_files")]


def assert_somewhere(
    contents: Contents, promised: set[int], keys: list[str], where: Callable[[], str]
) -> None:
    """Every acknowledged chunk is under its number, or in an object that a recording has."""
    kept = {
        int(Path(path).name): data
        for path, data in contents.items()
        if path.startswith(".chunks/CS_") and data is not None
    }
    if all(kept.get(number) == chunk(number) for number in promised):
        return
    objects = [contents.get(f"{STORE}/{key}") for key in keys]
    assert chunks(LAST) in objects, f"chunks {promised - kept.keys()} are lost after\n{where()}"


def only_kept(recording: Recording) -> Iterator[tuple[int, Contents]]:
    """At each moment what is left when nothing got to the medium that was not flushed."""
    for count, disk in recording.moments():
        yield count, next(disk.states())


async def lived(folder: Path) -> tuple[Recording, Commits]:
    async with home_in(folder) as home:
        (folder / "journals").mkdir(exist_ok=True)
        with (
            recorded(folder / "journals", *INDIFFERENT) as told,
            noted(folder / "catalog.db", told) as commits,
        ):
            await whole_life(home, told)
    return told, commits


async def test_every_acknowledged_byte_is_somewhere(tmp_path: Path) -> None:
    told, commits = await lived(tmp_path / "house")
    keys = {
        version: keys_in(version, tmp_path / f"{number}.db")
        for number, (_, version) in enumerate(commits.versions)
    }
    assert any(keys.values())
    moments = 0
    for count, disk in told.moments():
        promised = set(told.promised(count))
        versions = [keys[version] for version in dict.fromkeys(commits.at(count))]
        for contents in disk.states():
            for known in versions:
                moments += 1
                assert_somewhere(contents, promised, known, lambda: told.story(count))  # noqa: B023
    assert moments > 200


def starts(told: Recording, commits: Commits) -> dict[str, tuple[int, bytes, Contents]]:
    """Each that differs from the others, from the first acknowledged chunk on."""
    found: dict[str, tuple[int, bytes, Contents]] = {}
    for count, contents in only_kept(told):
        if not told.promised(count):
            continue
        for version in commits.at(count):
            names = repr(sorted(contents.items()))
            found.setdefault(
                hashlib.sha256(version + names.encode()).hexdigest(), (count, version, contents)
            )
    return found


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.long)])
async def test_a_server_that_starts_there_brings_it_to_its_end(tmp_path: Path, every: int) -> None:
    told, commits = await lived(tmp_path / "house")
    begun = list(starts(told, commits).values())
    assert len(begun) > 10
    for count, version, contents in begun[::every]:
        folder = tmp_path / str(count)
        folder.mkdir(exist_ok=True)
        for left in folder.glob("catalog.db*"):
            left.unlink()
        (folder / "catalog.db").write_bytes(version)
        build(contents, folder / "journals")
        await _ends_well(folder, max(told.promised(count)), lambda: told.story(count))  # noqa: B023


async def _ends_well(folder: Path, last: int, where: Callable[[], str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        async with home_in(folder) as home:
            await prepare(home)
            await home.recover()
            await home.pass_by(LONGEST)
            (row,) = (await home.catalog.recordings.find()).items
            row = await home.until(row, *FINAL)
            assert row.status == "recorded", f"{row.error} after\n{where()}"
            (file,) = row.files
            content = await stored(home, file.key)
            # what came and was not acknowledged any more may be in it
            assert content in [chunks(end) for end in range(last, LAST + 1)], where()
