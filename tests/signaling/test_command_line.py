"""The console script as a process: what it prints, and how it refuses."""

from __future__ import annotations

import asyncio
import re
import resource
import shutil
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from signaling.auth import TokenAuthority
from signaling.settings import Settings, environment_name, flag_name
from storage.catalog import Catalog
from tests.recorder.known_media import audio_track
from tests.signaling.command_line import KEYS, run, serving

# --- serve ----------------------------------------------------------------------------------------


async def test_the_sign_in_link_opens_the_door(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, url, token), aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {token}"}
        body = {"room": "standup", "role": "host"}
        async with http.post(f"{url}/api/v1/token", json=body, headers=headers) as answer:
            data = (await answer.json())["data"]
        async with http.get(f"{url}/readyz") as ready:
            checks = (await ready.json())["checks"]
        async with http.get(f"{url}/rtc/v1/validate?access_token={data['token']}") as answer:
            assert answer.status == 400  # let in, but no join request
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert data["url"] == url.replace("http", "ws")
    assert checks == {"database": "ok", "storage": "ok", "media": "ok"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_end_it_in_peace(tmp_path: Path, number: signal.Signals) -> None:
    async with serving(tmp_path) as (process, url, token):
        target = f"{url}/api/v1/session?access_token={token}"
        async with aiohttp.ClientSession() as http, http.get(target) as answer:
            assert answer.status == 200
        process.send_signal(number)
        out, err = await process.communicate()
    assert (process.returncode, out) == (0, b"")
    assert b"Traceback" not in err
    assert token.encode() not in err
    assert b"access_token=..." in err


async def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        ended = await run(tmp_path, "serve", "--port", port)
    assert ended.complaint.startswith("mediaserver: MEDIASERVER_PORT")
    assert port in ended.complaint


async def test_a_taken_media_port(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = str(holder.getsockname()[1])
        ended = await run(tmp_path, "serve", MEDIASERVER_RTC_UDP_PORT=port)
    assert ended.complaint.startswith("mediaserver: MEDIASERVER_RTC_UDP_PORT")
    assert port in ended.complaint


async def test_a_data_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    ended = await run(tmp_path, "serve")
    assert ended.complaint.startswith("mediaserver: MEDIASERVER_DATA_DIR")


async def test_a_recordings_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "films").write_text("")
    ended = await run(tmp_path, "serve", RECORDING_OUTPUT_DIR="films")
    assert ended.complaint.startswith("mediaserver: RECORDING_OUTPUT_DIR")


async def test_a_database_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mediaserver.db").write_text("not a database, but long enough to be one")
    ended = await run(tmp_path, "serve")
    assert ended.complaint.startswith("mediaserver: DATABASE_URL")


async def test_a_short_secret(tmp_path: Path) -> None:
    ended = await run(tmp_path, "serve", MEDIASERVER_KEYS="key: hunter2")
    assert ended.status == 2
    assert ended.complaint.startswith("mediaserver: MEDIASERVER_KEYS")
    assert "hunter2" not in ended.complaint


async def test_a_misspelt_setting(tmp_path: Path) -> None:
    ended = await run(tmp_path, "serve", MEDIASERVER_PROT="7880")
    assert ended.status == 2
    assert "did you mean MEDIASERVER_PORT?" in ended.complaint


@pytest.mark.parametrize(
    "arguments", [["serve", "--prot", "1"], ["fly"], [], ["token", "--ttl", "soon"], ["token"]]
)
async def test_a_wrong_command_line(tmp_path: Path, arguments: list[str]) -> None:
    ended = await run(tmp_path, *arguments)
    assert ended.status == 2
    assert ended.complaint.startswith("mediaserver")


# --- the other commands ---------------------------------------------------------------------------


async def test_help_tells_every_setting(tmp_path: Path) -> None:
    text = (await run(tmp_path, "serve", "--help")).out
    for name, field in Settings.model_fields.items():
        assert f"{flag_name(name)} VALUE" in text
        assert environment_name(field) in text


async def test_a_token_for_a_room(tmp_path: Path) -> None:
    arguments = ("--room", "standup", "--identity", "ada", "--role", "host", "--name", "Ada")
    ended = await run(tmp_path, "token", *arguments, "--ttl", "30m")
    token = TokenAuthority(KEYS).verify(ended.out.strip())
    assert (token.identity, token.name, token.grants.room) == ("ada", "Ada", "standup")
    assert token.grants.room_admin


async def test_a_sign_in_link(tmp_path: Path) -> None:
    ended = await run(tmp_path, "token", "--sign-in", "--port", "7880")
    link, _, text = ended.out.strip().partition("#token=")
    assert link == "http://localhost:7880/"
    assert TokenAuthority(KEYS).verify(text).identity == ""


async def test_keys_are_made_by_whoever_comes_first(tmp_path: Path) -> None:
    arguments = ("token", "--room", "r", "--identity", "a")
    first, second = await asyncio.gather(
        *(run(tmp_path, *arguments, MEDIASERVER_KEYS="") for _ in range(2))
    )
    parts = [ended.out.split(".")[0] for ended in (first, second)]
    assert first.status == second.status == 0, (first, second)
    assert parts[0] == parts[1]
    assert len(list((tmp_path / "data").iterdir())) == 1


async def test_migrate_then_list(tmp_path: Path) -> None:
    assert (await run(tmp_path, "recordings", "list")).complaint
    assert (await run(tmp_path, "migrate")).out.startswith("applied")
    assert "up to date" in (await run(tmp_path, "migrate")).out
    assert "0 recordings" in (await run(tmp_path, "recordings", "list")).out


async def test_a_recording_is_retried_by_the_next_start(tmp_path: Path) -> None:
    await run(tmp_path, "migrate")
    catalog = await Catalog.open(f"sqlite:///{tmp_path}/data/mediaserver.db")
    row = await catalog.recordings.create(room="r", started_by="ada", status="failed", error="x")
    refused = await run(tmp_path, "recordings", "retry", row.id)
    assert "no journals" in refused.complaint
    audio_track(1.0).write(tmp_path / "data" / "journals" / row.id)
    assert row.id in (await run(tmp_path, "recordings", "retry", row.id)).out
    async with serving(tmp_path) as (process, _, _):
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    found = await catalog.recordings.get(row.id)
    await catalog.close()
    assert found is not None
    assert (found.status, found.error) == ("recorded", None)
    assert "is recorded" in (await run(tmp_path, "recordings", "retry", row.id)).complaint


async def test_a_second_server_on_one_database_is_refused(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/data/mediaserver.db"
    async with serving(tmp_path):
        ended = await run(tmp_path, "serve", MEDIASERVER_DATA_DIR="another", DATABASE_URL=database)
    assert ended.status == 1
    assert ended.complaint.startswith("mediaserver: DATABASE_URL: another mediaserver uses")


async def test_doctor_has_a_line_for_each_part(tmp_path: Path) -> None:
    for place in (".chunks/CS_1/0/0/0", ".chunks/CS_1/0/0/1", ".uploads/UP_1", "RC_1/1.journal"):
        path = tmp_path / "data" / "journals" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(700))
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        ended = await run(tmp_path, "doctor", "--port", port)
    assert ended.status == 1
    failed = [line for line in ended.out.splitlines() if line.startswith("FAIL")]
    assert any("HTTP port" in line and port in line for line in failed)
    for part in ("Python", "SRTP", "media port", "data folder", "database"):
        assert re.search(f"^ok   {part}: ", ended.out, re.MULTILINE), ended.out
    assert "web application" in ended.out
    waiting = "1.4 kB of chunks, 700 B of journals, 700 B of unfinished uploads"
    assert f"ok   waiting to be stored: {waiting}" in ended.out


async def test_doctor_says_when_the_disk_is_too_full_for_a_recording(tmp_path: Path) -> None:
    low = shutil.disk_usage(tmp_path).total >> 20
    ended = await run(tmp_path, "doctor", "--disk-low-mb", str(low))
    assert (ended.status, "FAIL disk: only" in ended.out) == (1, True)
    assert "ok   waiting to be stored: nothing" in ended.out


async def test_attack_others_on_the_machine_look_into_the_folders(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 1), hard))
    async with serving(tmp_path) as (process, _url, _token):
        for path in (tmp_path / "data", *(tmp_path / "data").rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path
        limits = Path(f"/proc/{process.pid}/limits").read_text()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (line,) = re.findall(r"Max open files +(\d+) +(\d+)", limits)
    assert line[0] == line[1]
