"""A start that can't work stops with one line that says what to change."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rig.server import refused_start


async def complaint(data_dir: Path, settings: dict[str, str]) -> str:
    """The one line of a refused start."""
    status, out, err = await refused_start(data_dir, settings)
    assert status != 0, out
    assert "is ready on" not in out
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    return lines[0]


@contextmanager
def taken(kind: socket.SocketKind) -> Iterator[int]:
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        yield holder.getsockname()[1]


async def test_a_data_folder_that_can_not_be_made(tmp_path: Path) -> None:
    blocking = tmp_path / "file"
    blocking.write_text("not a folder")
    line = await complaint(blocking / "data", {})
    assert "MEDIASERVER_DATA_DIR" in line
    assert str(blocking) in line


async def test_a_data_folder_that_can_not_be_written() -> None:
    # root may write anywhere but here
    assert "MEDIASERVER_DATA_DIR" in await complaint(Path("/proc/mediaserver"), {})


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("MEDIASERVER_PORT", socket.SOCK_STREAM),
        ("MEDIASERVER_RTC_UDP_PORT", socket.SOCK_DGRAM),
    ],
)
async def test_a_port_that_is_taken(data_dir: Path, setting: str, kind: socket.SocketKind) -> None:
    with taken(kind) as port:
        line = await complaint(data_dir, {setting: str(port)})
    assert setting in line
    assert str(port) in line


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"MEDIASERVER_KEYS": "key: short"}, "32"),
        ({"MEDIASERVER_KEYS": "no colon at all"}, "MEDIASERVER_KEYS"),
        ({"MEDIASERVER_PORT": "eighty"}, "MEDIASERVER_PORT"),
        ({"MEDIASERVER_PORT": "70000"}, "MEDIASERVER_PORT"),
        ({"MEDIASERVER_PUBLIC_IP": "not an address"}, "MEDIASERVER_PUBLIC_IP"),
        ({"DATABASE_URL": "mysql://localhost/x"}, "DATABASE_URL"),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else None,
)
async def test_a_setting_that_is_wrong(
    data_dir: Path, settings: dict[str, str], named: str
) -> None:
    line = await complaint(data_dir, settings)
    assert named in line
    assert next(iter(settings)) in line
    assert "short" not in line.replace("too short", ""), "a secret must not be printed"
