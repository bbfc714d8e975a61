"""A recording, judged by its decoded content: all that was sent, in order and in sync."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.recordings import (
    Recorded,
    assert_complete,
    assert_flashes_and_beeps,
    fetch,
    record,
)
from tests.media_truth import Truth, measure
from tests.rig.known_content import known_content_page
from tests.rig.media import decode_errors, ffprobe, keyframe_times, seek_lands_at
from tests.rig.rest import Refused, Rest, originals
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("server_unharmed"),
]

SECONDS = 12
Server = MediaserverProcess


@dataclass(frozen=True, slots=True)
class Made:
    recorded: Recorded
    truth: Truth
    source: Truth  # the browser's own MediaRecorder file of the same content
    room: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(server: Server) -> AsyncIterator[Rest]:
    async with Rest(server.base_url, server_token()) as caller:
        yield caller


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(
    server: Server,
    browser: Browser,
    pages_url: str,
    rest: Rest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Made:
    """20 s of one VP8 publisher, recorded once for all tests that look at it."""
    folder = tmp_path_factory.mktemp("recorded")
    room = "twenty seconds"
    async with known_content_page(browser, pages_url) as alice:
        await alice.join(server.ws_url, participant_token(room, "alice"), "alice")
        await alice.start_local_file()
        recorded = await record(rest, room, alice, SECONDS, folder)
        source = await alice.stop_local_file(folder / "source.webm")
    return Made(recorded, measure(recorded.path), measure(source), room)


# --- the file's content ---------------------------------------------------------------------------


async def test_pictures_come_in_order_and_hardly_one_is_missing(made: Made) -> None:
    assert_complete(made.truth, made.recorded)


async def test_every_second_has_its_flash_and_its_beep(made: Made) -> None:
    assert_flashes_and_beeps(made.truth)
    assert len(made.truth.flashes_s) >= SECONDS - 2


async def test_sound_and_picture_are_as_far_apart_as_at_the_source(made: Made) -> None:
    offset, own = made.truth.median_offset_ms, made.source.median_offset_ms
    assert len(made.truth.offsets_ms) >= SECONDS - 2
    assert abs(offset - own) <= 60, f"{offset} ms, at the source {own} ms"
    drift = made.truth.offsets_ms[-1] - made.truth.offsets_ms[0]
    assert abs(drift) <= 60, made.truth.offsets_ms


async def test_the_duration_is_the_wall_clock_s(made: Made) -> None:
    recorded, row = made.recorded, made.recorded.row
    wall = (recorded.ended - recorded.asked).total_seconds()
    assert abs(row["durationSeconds"] - wall) <= 0.2, (row["durationSeconds"], wall)
    assert abs(made.truth.duration_s - wall) <= 0.2, (made.truth.duration_s, wall)
    started, stopped = (datetime.fromisoformat(row[name]) for name in ("startedAt", "stoppedAt"))
    said = (stopped - started).total_seconds()
    assert abs(row["durationSeconds"] - said) <= 0.2, (row["durationSeconds"], said)
    content = (made.truth.counters[-1] - made.truth.counters[0] + 1) / 30
    assert abs(made.truth.duration_s - content) <= 0.2, (made.truth.duration_s, content)


async def test_ffprobe_reads_duration_and_streams(made: Made) -> None:
    probed = await ffprobe(made.recorded.path)
    assert abs(float(probed["format"]["duration"]) - made.truth.duration_s) <= 0.2
    codecs = {stream["codec_type"]: stream["codec_name"] for stream in probed["streams"]}
    assert codecs == {"video": "vp8", "audio": "opus"}
    assert decode_errors(made.recorded.path) == 0


async def test_seeking_to_the_middle_lands_within_one_keyframe(made: Made) -> None:
    middle = made.truth.duration_s / 2
    keyframes = keyframe_times(made.recorded.path)
    gaps = [b - a for a, b in itertools.pairwise(keyframes)]
    assert max(gaps) <= 6, f"keyframes at {keyframes}"
    landed = seek_lands_at(made.recorded.path, middle)
    assert landed == pytest.approx(max(at for at in keyframes if at <= middle), abs=0.04)


# --- the library ----------------------------------------------------------------------------------


async def test_the_library_lists_it_with_all_its_facts(made: Made, rest: Rest) -> None:
    listed = await rest.get("/api/v1/recordings", room=made.room)
    assert (listed["total"], listed["page"]) == (1, 1)
    (row,) = listed["items"]
    (file,) = originals(row)
    body = made.recorded.path.read_bytes()
    assert (row["id"], row["status"]) == (made.recorded.row["id"], "recorded")
    assert (row["room"], row["mode"], row["provider"]) == (made.room, "tracks", "local")
    assert file["size"] == len(body)
    assert row["size"] == sum(each["size"] for each in row["files"])
    assert file["sha256"] == hashlib.sha256(body).hexdigest()
    assert (file["kind"], file["participantId"]) == ("participant", "alice")
    assert (file["width"], file["height"]) == (640, 360)
    assert file["contentType"] == "video/webm"
    assert row["integrity"]["complete"] is True


async def test_status_says_that_it_is_done(made: Made, rest: Rest) -> None:
    recording = made.recorded.row["id"]
    for path in (
        f"/api/v1/recordings/{recording}/status",
        f"/video-calls/recording/{recording}/status",
    ):
        status = await rest.get(path)
        assert (status["status"], status["progress"]) == ("recorded", 1)


async def test_ranges_heads_and_downloads(made: Made, rest: Rest) -> None:
    (file,) = originals(made.recorded.row)
    body = made.recorded.path.read_bytes()
    path = f"/api/v1/recordings/{made.recorded.row['id']}/files/{file['id']}"
    status, headers, part = await rest.bytes(path, headers={"Range": "bytes=1000-1999"})
    assert (status, part) == (206, body[1000:2000])
    assert headers["Content-Range"] == f"bytes 1000-1999/{len(body)}"
    status, _, tail = await rest.bytes(path, headers={"Range": "bytes=-500"})
    assert (status, tail) == (206, body[-500:])
    status, _, _ = await rest.bytes(path, headers={"Range": f"bytes={len(body)}-"})
    assert status == 416
    status, headers, nothing = await rest.bytes(path, method="HEAD")
    assert (status, nothing, headers["Content-Length"]) == (200, b"", str(len(body)))
    assert headers["Accept-Ranges"] == "bytes"
    status, headers, whole = await rest.bytes(f"{path}?download=1")
    assert (status, whole) == (200, body)
    assert headers["Content-Disposition"].startswith("attachment")
    assert headers["Content-Type"] == "video/webm"


async def test_a_file_is_nobody_elses(made: Made, server: Server) -> None:
    (file,) = originals(made.recorded.row)
    path = f"/api/v1/recordings/{made.recorded.row['id']}/files/{file['id']}"
    stranger = participant_token("another room", "mallory", host=True)
    async with Rest(server.base_url) as nobody, Rest(server.base_url, stranger) as other:
        assert (await nobody.bytes(path))[0] == 401
        assert (await other.bytes(path))[0] == 403
        assert (await nobody.bytes(file["url"] + "x"))[0] in {401, 403}
        with pytest.raises(Refused, match="403"):
            await other.get(f"/api/v1/recordings/{made.recorded.row['id']}")
        assert (await other.get("/api/v1/recordings"))["total"] == 0


# --- other calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "content_type"),
    [
        ("h264", "video/mp4"),
        pytest.param("vp9", "video/webm", marks=pytest.mark.long),
        pytest.param("av1", "video/webm", marks=pytest.mark.long),
    ],
)
async def test_every_codec_is_recorded(
    server: Server,
    browser: Browser,
    pages_url: str,
    rest: Rest,
    room: str,
    codec: str,
    content_type: str,
    tmp_path: Path,
) -> None:
    async with known_content_page(browser, pages_url) as alice:
        await alice.join(server.ws_url, participant_token(room, "alice"), "alice", codec=codec)
        await alice.start_local_file()
        recorded = await record(rest, room, alice, 6, tmp_path)
        source = measure(await alice.stop_local_file(tmp_path / "source.webm"))
    truth = measure(recorded.path)
    assert recorded.row["files"][0]["contentType"] == content_type
    assert_complete(truth, recorded)
    assert_flashes_and_beeps(truth)
    assert abs(truth.median_offset_ms - source.median_offset_ms) <= 60
    assert decode_errors(recorded.path) == 0
    probed = await ffprobe(recorded.path)
    assert abs(float(probed["format"]["duration"]) - recorded.row["durationSeconds"]) <= 0.2


async def test_each_participant_gets_a_file_also_who_joins_late(
    server: Server, browser: Browser, pages_url: str, rest: Rest, room: str, tmp_path: Path
) -> None:
    async with (
        known_content_page(browser, pages_url) as alice,
        known_content_page(browser, pages_url) as bob,
    ):
        await alice.join(server.ws_url, participant_token(room, "alice"), "alice")
        await rest.start_recording(room)
        await bob.join(server.ws_url, participant_token(room, "bob"), "bob")
        await bob.decoding()
        await bob.elapse(4)
        await bob.leave()
        await alice.elapse(1)
        row = await rest.stop_recording(room)
    files = {file["participantId"]: file for file in originals(row)}
    assert set(files) == {"alice", "bob"}
    assert files["alice"]["durationSeconds"] > files["bob"]["durationSeconds"] >= 4
    for file in files.values():
        truth = measure(await fetch(rest, file, tmp_path))
        assert truth.backwards == 0
        assert len(truth.flashes_s) >= 4


async def test_one_recording_at_a_time_and_stop_is_idempotent(
    server: Server, browser: Browser, pages_url: str, rest: Rest, room: str
) -> None:
    async with known_content_page(browser, pages_url) as alice:
        await alice.join(server.ws_url, participant_token(room, "alice"), "alice")
        recording = await rest.start_recording(room)
        with pytest.raises(Refused) as refused:
            await rest.post(f"/api/v1/rooms/{room}/recording/start")
        assert refused.value.status == 409
        assert refused.value.details["recordingId"] == recording
        await alice.elapse(1)
        first = await rest.post(f"/api/v1/rooms/{room}/recording/stop")
        again = await rest.post(f"/api/v1/rooms/{room}/recording/stop")
        assert first["recordingId"] == again["recordingId"] == recording
        await rest.recorded(recording)


async def test_an_emptied_room_ends_its_recording_and_delete_takes_the_file_along(
    server: Server, browser: Browser, pages_url: str, rest: Rest, room: str
) -> None:
    async with known_content_page(browser, pages_url) as alice:
        await alice.join(server.ws_url, participant_token(room, "alice"), "alice")
        recording = await rest.start_recording(room)
        await alice.elapse(2)
        await alice.leave()
    row = await rest.recorded(recording, within=60)
    (file,) = originals(row)
    stored = [path for path in server.data_dir.rglob(f"*{file['id']}*") if path.is_file()]
    assert stored
    await rest.delete(f"/api/v1/recordings/{recording}")
    assert not any(path.exists() for path in stored)
    with pytest.raises(Refused, match="404"):
        await rest.get(f"/api/v1/recordings/{recording}")
