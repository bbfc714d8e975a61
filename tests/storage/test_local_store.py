"""What the local store promises beyond the contract: the disk, crashes, links."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from storage.errors import BadKey, ObjectNotFound, StoreFull, StoreUnavailable
from storage.objects import LocalStore
from storage.objects.disk import translated

MEBIBYTE = 1 << 20

PUT_PROGRAM = """
import asyncio, sys
from pathlib import Path
from storage.objects import LocalStore
asyncio.run(LocalStore(Path(sys.argv[1])).put_file("a/b", Path(sys.argv[2]), "video/webm"))
"""


@pytest_asyncio.fixture
async def local(root: Path) -> LocalStore:
    store = LocalStore(root)
    await store.prepare()
    return store


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"content")
    return path


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A source that ends only when its writer closes it: a put from it can be held midway."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


async def keys(store: LocalStore) -> list[str]:
    return [info.key async for info in store.list()]


async def contents(store: LocalStore) -> dict[str, bytes]:
    return {key: b"".join([block async for block in store.open(key)]) for key in await keys(store)}


def leftovers(root: Path) -> list[Path]:
    return list((root / ".incoming").iterdir())


class PipeWriter:
    """The writing end of a pipe, used from threads since each step waits for the reader."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def write(self, content: bytes) -> None:
        def write_all(left: bytes) -> None:
            while left:
                left = left[os.write(self._descriptor, left) :]

        await asyncio.to_thread(write_all, content)


@asynccontextmanager
async def writer_of(pipe: Path) -> AsyncIterator[PipeWriter]:
    """Entered when somebody has opened the pipe for reading; left, the reader sees its end."""
    descriptor = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)
    try:
        yield PipeWriter(descriptor)
    finally:
        os.close(descriptor)


@asynccontextmanager
async def putting_process(root: Path, source: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that puts the source as "a/b"; dead (kill -9) at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUT_PROGRAM, str(root), str(source)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_an_object_is_a_plain_file_at_its_key(
    local: LocalStore, root: Path, source: Path
) -> None:
    await local.put_file("recordings/room/a.webm", source, "video/webm")
    path = local.path("recordings/room/a.webm")
    assert path == root / "recordings" / "room" / "a.webm"
    assert path.read_bytes() == b"content"


async def test_a_path_says_nothing_about_existence(local: LocalStore, root: Path) -> None:
    assert local.path("nothing/here") == root / "nothing" / "here"
    with pytest.raises(BadKey):
        local.path("../outside")


async def test_a_content_type_that_the_key_does_not_tell(local: LocalStore, source: Path) -> None:
    await local.put_file("a.bin", source, "video/webm")
    try:
        os.setxattr(source, "user.probe", b"")
        expected = "video/webm"
    except OSError:  # a file system without extended attributes
        expected = "application/octet-stream"
    assert (await local.head("a.bin")).content_type == expected


async def test_a_file_that_somebody_else_put_there_is_an_object(
    local: LocalStore, root: Path
) -> None:
    (root / "by_hand.mp4").write_bytes(b"12345")
    found = await local.head("by_hand.mp4")
    assert (found.size, found.content_type) == (5, "video/mp4")
    assert await keys(local) == ["by_hand.mp4"]


async def test_names_that_no_key_can_have_are_not_listed(local: LocalStore, root: Path) -> None:
    (root / "back\\slash").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(root) + b"/not-utf8-\xff")).write_bytes(b"")
    os.mkfifo(root / "pipe")
    assert await keys(local) == []


async def test_a_pipe_is_not_an_object(local: LocalStore, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(ObjectNotFound):
        await local.head("pipe")
    with pytest.raises(ObjectNotFound):
        await local.digest("pipe")


# --- links ----------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def linked(local: LocalStore, root: Path, tmp_path: Path) -> AsyncIterator[Path]:
    """The store has a link to a folder outside and one to a file in it; yields the file."""
    secret = tmp_path / "outside" / "secret"
    secret.parent.mkdir()
    secret.write_bytes(b"secret")
    (root / "folder").symlink_to(secret.parent)
    (root / "file").symlink_to(secret)
    yield secret
    assert secret.read_bytes() == b"secret"
    assert list(secret.parent.iterdir()) == [secret]


@pytest.mark.parametrize("key", ["file", "folder/secret", "folder/new"])
async def test_a_link_out_of_the_store_is_refused(
    local: LocalStore, linked: Path, source: Path, key: str
) -> None:
    with pytest.raises(BadKey):
        await local.put_file(key, source, "video/webm")
    with pytest.raises(BadKey):
        await local.head(key)
    with pytest.raises(BadKey):
        await local.digest(key)
    with pytest.raises(BadKey):
        await local.delete(key)
    with pytest.raises(BadKey):
        local.path(key)
    with pytest.raises(BadKey):
        await anext(local.open(key))


async def test_links_are_not_listed(local: LocalStore, linked: Path) -> None:
    assert await keys(local) == []


async def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path, source: Path) -> None:
    (tmp_path / "disk").mkdir()
    root.symlink_to(tmp_path / "disk")
    store = LocalStore(root)
    await store.prepare()
    await store.put_file("a/b", source, "video/webm")
    assert (tmp_path / "disk" / "a" / "b").read_bytes() == b"content"
    assert await keys(store) == ["a/b"]


# --- interrupted puts -----------------------------------------------------------------------------


@pytest.mark.parametrize("old", [None, b"old"], ids=["new_key", "overwrite"])
async def test_a_put_killed_midway_leaves_what_was_there(
    local: LocalStore, root: Path, pipe: Path, source: Path, old: bytes | None
) -> None:
    if old is not None:
        source.write_bytes(old)
        await local.put_file("a/b", source, "video/webm")
    async with putting_process(root, pipe) as process, writer_of(pipe) as writer:
        # more than the pipe and a block hold, so part of it is in the store's folder by now
        await writer.write(b"x" * MEBIBYTE)
        process.kill()
        await process.wait()

    assert [path.stat().st_size > 0 for path in leftovers(root)] == [True]
    assert await contents(local) == ({} if old is None else {"a/b": old})

    assert await LocalStore(root).prepare() == 1
    assert leftovers(root) == []
    assert await contents(local) == ({} if old is None else {"a/b": old})


async def test_a_sweep_spares_the_puts_of_other_processes(
    local: LocalStore, root: Path, pipe: Path
) -> None:
    async with putting_process(root, pipe) as process:
        async with writer_of(pipe) as writer:
            await writer.write(b"x" * MEBIBYTE)
            assert await LocalStore(root).prepare() == 0
            assert len(leftovers(root)) == 1
        assert await process.wait() == 0
    assert await contents(local) == {"a/b": b"x" * MEBIBYTE}
    assert leftovers(root) == []


async def test_a_cancelled_put_is_over_when_it_says_so(
    local: LocalStore, root: Path, pipe: Path
) -> None:
    putting = asyncio.ensure_future(local.put_file("a", pipe, "video/webm"))
    async with writer_of(pipe) as writer:
        await writer.write(b"x" * MEBIBYTE)
        putting.cancel()
        with suppress(BrokenPipeError):  # the put has closed its end already
            await writer.write(b"more")  # the cancellation arrives meanwhile
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert leftovers(root) == []
    assert await contents(local) == {}


async def test_a_put_that_waits_for_its_source_leaves_the_event_loop_free(
    local: LocalStore, pipe: Path
) -> None:
    putting = asyncio.ensure_future(local.put_file("a", pipe, "video/webm"))
    async with writer_of(pipe) as writer:
        assert await contents(local) == {}
        await writer.write(b"late")
    assert (await putting).size == 4


async def test_folders_of_a_killed_put_do_not_block_a_key(
    local: LocalStore, root: Path, source: Path
) -> None:
    (root / "a" / "b" / "c").mkdir(parents=True)
    await local.put_file("a", source, "video/webm")
    assert await keys(local) == ["a"]


# --- a disk that refuses --------------------------------------------------------------------------


async def test_prepare_makes_the_folder(root: Path) -> None:
    await LocalStore(root / "deep" / "er").prepare()
    assert (root / "deep" / "er").is_dir()


async def test_a_root_that_is_a_file_is_one_plain_sentence(source: Path) -> None:
    store = LocalStore(source)
    with pytest.raises(StoreUnavailable, match="failed: Not a directory") as caught:
        await store.prepare()
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreUnavailable):
        await store.check()


async def test_a_write_that_the_disk_refuses_leaves_the_old_object(
    local: LocalStore, root: Path, source: Path, tmp_path: Path
) -> None:
    await local.put_file("a", source, "video/webm")
    big = tmp_path / "big"
    big.write_bytes(b"x" * MEBIBYTE)
    with file_size_limit(MEBIBYTE // 2), pytest.raises(StoreUnavailable) as caught:
        await local.put_file("a", big, "video/webm")
    assert os.strerror(errno.EFBIG) in str(caught.value)
    assert b"".join([block async for block in local.open("a")]) == b"content"
    assert leftovers(root) == []


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Writes past this size fail, as on a full disk (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_to_be_full() -> None:
    with pytest.raises(StoreFull, match="the disk is full"), translated("storing a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
