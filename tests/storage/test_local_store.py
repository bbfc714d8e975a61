"""What the local store promises beyond the contract: the disk, crashes, links."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from storage.errors import (
    BadKey,
    BadMetadata,
    ObjectNotFound,
    SourceUnreadable,
    StoreFull,
    StoreUnavailable,
)
from storage.objects import LocalStore
from storage.objects.disk import Interrupted, translated
from storage.objects.local_arrivals import append, copy
from tests.storage.streams import Failed, HeldStream, blocks_of

MEBIBYTE = 1 << 20

# Puts its standard input as "a/b" and says, after each piece, how much of it is in the store.
PUT_PROGRAM = """
import asyncio, sys
from pathlib import Path
from storage.objects import LocalStore

async def standard_input():
    while block := await asyncio.to_thread(sys.stdin.buffer.read1, 65536):
        yield block

def say(size):
    print(size, flush=True)

store = LocalStore(Path(sys.argv[1]))
asyncio.run(store.put_stream("a/b", standard_input(), "video/webm", on_progress=say))
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


async def keys(store: LocalStore) -> list[str]:
    return [info.key async for info in store.list()]


async def contents(store: LocalStore) -> dict[str, bytes]:
    return {key: b"".join([block async for block in store.open(key)]) for key in await keys(store)}


def leftovers(root: Path) -> list[Path]:
    return list((root / ".incoming").iterdir())


@asynccontextmanager
async def putting_process(root: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that is putting "a/b", a mebibyte of it so far; dead (kill -9) at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PUT_PROGRAM,
        str(root),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(b"x" * MEBIBYTE)
        await process.stdin.drain()
        assert await process.stdout.readline() == b"%d\n" % MEBIBYTE
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def has_attributes(folder: Path) -> bool:
    """Can this file system keep what a file's content doesn't say?"""
    probe = folder / "probe"
    probe.write_bytes(b"")
    try:
        os.setxattr(probe, "user.probe", b"")
    except OSError:
        return False
    return True


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


async def test_a_content_type_that_the_key_does_not_tell(
    local: LocalStore, source: Path, tmp_path: Path
) -> None:
    await local.put_file("a.bin", source, "video/webm")
    expected = "video/webm" if has_attributes(tmp_path) else "application/octet-stream"
    assert (await local.head("a.bin")).content_type == expected


async def test_metadata_where_the_file_system_can_keep_them(
    local: LocalStore, source: Path, tmp_path: Path
) -> None:
    said = {f"name-{number}": "v" * 80 for number in range(16)}
    await local.put_file("a", source, "video/webm", metadata=said)
    await local.copy("a", "b")
    expected = said if has_attributes(tmp_path) else {}
    assert (await local.head("a")).metadata == expected
    assert (await local.head("b")).metadata == expected
    await local.put_file("a", source, "video/webm")
    assert (await local.head("a")).metadata == {}


@pytest.mark.parametrize("written", [b"", b"{", b"\xff", b"[1]", b'{"name": 1}'])
async def test_metadata_that_somebody_else_wrote(
    local: LocalStore, source: Path, tmp_path: Path, written: bytes
) -> None:
    await local.put_file("a", source, "video/webm")
    if has_attributes(tmp_path):
        os.setxattr(local.path("a"), "user.mediaserver.metadata", written)
    assert (await local.head("a")).metadata == {}


async def test_metadata_that_not_every_store_could_keep(
    local: LocalStore, root: Path, source: Path
) -> None:
    with pytest.raises(BadMetadata):
        await local.put_file("a", source, "video/webm", metadata={"Name": "value"})
    with pytest.raises(BadMetadata):
        await local.put_stream("a", blocks_of(b"x"), "video/webm", metadata={"a": "\n"})
    assert await keys(local) == []


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
    await local.put_file("real", source, "video/webm")
    with pytest.raises(BadKey):
        await local.put_stream(key, blocks_of(Failed()), "video/webm")
    with pytest.raises(BadKey):
        await local.copy(key, "copied")
    with pytest.raises(BadKey):
        await local.copy("real", key)
    with pytest.raises(BadKey):
        await local.delete_many(["real", key])
    assert await keys(local) == ["real"], "all keys are checked before anything is deleted"


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
    local: LocalStore, root: Path, source: Path, old: bytes | None
) -> None:
    if old is not None:
        source.write_bytes(old)
        await local.put_file("a/b", source, "video/webm")
    async with putting_process(root) as process:
        process.kill()
        await process.wait()

    assert [path.stat().st_size for path in leftovers(root)] == [MEBIBYTE]
    assert await contents(local) == ({} if old is None else {"a/b": old})

    assert await LocalStore(root).prepare() == 1
    assert leftovers(root) == []
    assert await contents(local) == ({} if old is None else {"a/b": old})


async def test_a_sweep_spares_the_puts_of_other_processes(local: LocalStore, root: Path) -> None:
    async with putting_process(root) as process:
        assert await LocalStore(root).prepare() == 0
        assert len(leftovers(root)) == 1
        await process.communicate(b"more")
        assert process.returncode == 0
    assert await contents(local) == {"a/b": b"x" * MEBIBYTE + b"more"}
    assert leftovers(root) == []


async def test_a_cancelled_put_of_a_stream_is_over_when_it_says_so(
    local: LocalStore, root: Path
) -> None:
    stream = HeldStream(b"x" * MEBIBYTE)
    putting = asyncio.ensure_future(local.put_stream("a", stream, "video/webm"))
    await stream.asked_for_more.wait()
    assert [path.stat().st_size for path in leftovers(root)] == [MEBIBYTE]
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert leftovers(root) == []
    assert await contents(local) == {}


async def test_a_cancelled_put_of_a_file_is_over_when_it_says_so(
    local: LocalStore, root: Path, source: Path
) -> None:
    source.write_bytes(b"x" * (20 * MEBIBYTE))
    seen: list[int] = []

    def cancel(size: int) -> None:
        seen.append(size)
        putting.cancel()

    putting = asyncio.ensure_future(local.put_file("a", source, "video/webm", on_progress=cancel))
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert seen == [8 * MEBIBYTE]
    assert leftovers(root) == []
    assert await contents(local) == {}


async def test_a_stream_that_fails_ends_the_put_and_leaves_the_old_object(
    local: LocalStore, root: Path, source: Path
) -> None:
    await local.put_file("a", source, "video/webm")
    with pytest.raises(Failed):
        await local.put_stream("a", blocks_of(b"x" * MEBIBYTE, Failed()), "video/webm")
    assert leftovers(root) == []
    assert await contents(local) == {"a": b"content"}


async def test_many_streams_that_dawdle_hold_up_nobody(local: LocalStore, source: Path) -> None:
    streams = [HeldStream(b"x") for _ in range(50)]
    putting = [
        asyncio.ensure_future(local.put_stream(f"held/{number}", stream, "video/webm"))
        for number, stream in enumerate(streams)
    ]
    for stream in streams:
        await stream.asked_for_more.wait()
    await local.put_file("a", source, "video/webm")
    assert await contents(local) == {"a": b"content"}
    for stream in streams:
        stream.end()
    await asyncio.gather(*putting)
    assert len(await keys(local)) == 51


async def test_attack_a_source_that_never_comes(
    local: LocalStore, tmp_path: Path, root: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceUnreadable):
        await local.put_file("a", tmp_path / "pipe", "video/webm")
    assert leftovers(root) == []


async def test_progress_is_told_in_steps_on_the_event_loop(local: LocalStore, source: Path) -> None:
    loop, seen = asyncio.get_running_loop(), list[int]()

    def on_progress(size: int) -> None:
        assert asyncio.get_running_loop() is loop
        seen.append(size)

    source.write_bytes(b"x" * (20 * MEBIBYTE))
    await local.put_file("a", source, "video/webm", on_progress=on_progress)
    assert [size // MEBIBYTE for size in seen] == [8, 16, 20]
    seen.clear()
    tiny = blocks_of(*[b"x" * 1000] * 2000)
    await local.put_stream("a", tiny, "video/webm", on_progress=on_progress)
    assert seen == [MEBIBYTE, 2_000_000], "small blocks are written together"
    seen.clear()
    await local.put_stream("a", blocks_of(), "video/webm", on_progress=on_progress)
    assert seen == [0]


async def test_a_cancelled_copy_leaves_nothing(local: LocalStore, root: Path) -> None:
    with (root / "big").open("wb") as file:
        file.truncate(256 * MEBIBYTE)  # sparse: large, and quickly made
    answers = iter([False, True])
    with pytest.raises(Interrupted):
        copy(root, "big", "copied", lambda: next(answers))
    assert leftovers(root) == []
    assert await keys(local) == ["big"]


def test_copying_between_file_systems_that_the_kernel_keeps_apart(tmp_path: Path) -> None:
    content = b"0123456789" * 60_000
    memory = os.memfd_create("elsewhere")
    os.write(memory, content)
    with (tmp_path / "copy").open("wb", buffering=0) as writing:
        writing.write(b"before ")
        append(memory, writing, len(content) - 1, lambda: False)
    os.close(memory)
    assert (tmp_path / "copy").read_bytes() == b"before " + content[:-1]


async def test_a_copy_of_a_file_that_becomes_shorter_fails(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"short")
    with (
        (tmp_path / "short").open("rb") as reading,
        (tmp_path / "copy").open("wb", buffering=0) as writing,
        pytest.raises(OSError, match="shorter"),
    ):
        append(reading.fileno(), writing, 6, lambda: False)


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
