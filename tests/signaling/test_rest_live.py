"""Watching a recording while it runs, over HTTP, with the real follower."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recorder.journals import journals_root
from signaling.live import LiveStreams
from storage.catalog import RecordingRow
from tests.recorder.known_media import START_US, audio_track, encode_video, video_track
from tests.rig.waiting import until
from tests.signaling.house import House, house

SECONDS = 6


async def running(home: House, room: str = "r", status: str = "recording") -> RecordingRow:
    """A recording with SECONDS of one participant in its journals."""
    call_id = await home.call_with(room, "hanna", "ada")
    row = await home.services.catalog.recordings.create(
        room=room, started_by="hanna", call_id=call_id, status=status
    )
    folder = journals_root(home.services.settings.data_dir) / row.id
    frames = encode_video("video/VP8", count=SECONDS * 30)
    for track in (
        video_track(frames=frames, participant="ada"),
        audio_track(SECONDS, participant="ada"),
    ):
        late_us = time.time_ns() // 1000 - SECONDS * 1_000_000 - START_US
        track.entries = [(at_us + late_us, kind, data) for at_us, kind, data in track.entries]
        track.write(folder, end=False)
    return row


def live_path(row: RecordingRow) -> str:
    return f"/api/v1/recordings/{row.id}/live"


async def streams(home: House, row: RecordingRow) -> list[dict[str, Any]]:
    """The streams, as soon as all that is in the journals is in them."""

    async def probe() -> list[dict[str, Any]] | None:
        data = (await home.get(live_path(row), home.host("r"))).data
        assert data["live"] is True
        found: list[dict[str, Any]] = data["streams"]
        return found if found and found[0]["seconds"] >= SECONDS - 1 else None

    found: list[dict[str, Any]] = await until(probe, within=30, every=0.1, what="streams")
    return found


async def test_streams_as_the_contract_has_them(home: House) -> None:
    row = await running(home)
    (stream,) = await streams(home, row)
    assert set(stream) == {
        *("streamId", "participantId", "participantName", "source", "contentType"),
        *("startSeconds", "seconds", "ended", "url"),
    }
    assert (stream["participantId"], stream["source"]) == ("ada", "camera")
    assert stream["contentType"] == 'video/webm; codecs="vp8, opus"'
    assert stream["startSeconds"] < 0.1


async def test_ranges_give_what_is_there_and_204_what_is_not(home: House) -> None:
    row = await running(home)
    (stream,) = await streams(home, row)
    whole = await home.get(stream["url"])
    assert (whole.status, whole.headers["Content-Type"]) == (200, "video/webm")
    size = len(whole.body)
    head = await home.get(stream["url"], headers={"Range": "bytes=0-99"})
    assert (head.status, head.body) == (206, whole.body[:100])
    assert head.headers["Content-Range"] == "bytes 0-99/*"
    rest = await home.get(stream["url"], headers={"Range": "bytes=100-"})
    assert rest.headers["Content-Range"] == f"bytes 100-{99 + len(rest.body)}/*"
    assert whole.body[100:] == rest.body[: size - 100]
    nothing = await home.get(stream["url"], headers={"Range": "bytes=999999999-"})
    assert (nothing.status, nothing.headers["Retry-After"], nothing.body) == (204, "1", b"")


async def test_a_place_is_where_a_cluster_with_a_keyframe_begins(home: House) -> None:
    row = await running(home)
    (stream,) = await streams(home, row)
    path = f"{live_path(row)}/{stream['streamId']}/place"
    place = (await home.get(path, home.host("r"), params={"at": "2.5"})).data
    assert 1.4 <= place["seconds"] <= 2.5
    span = {"Range": f"bytes={place['offset']}-{place['offset'] + 3}"}
    assert (await home.get(stream["url"], headers=span)).body == bytes.fromhex("1f43b675")
    first = (await home.get(path, home.host("r"), params={"at": "0"})).data
    assert first == {"offset": 0, "seconds": 0}
    for wrong in ("", "-1", "nan", "inf", "x"):
        answer = await home.get(path, home.host("r"), params={"at": wrong})
        assert (answer.status, answer.code) == (400, "invalid_request")


async def test_only_a_running_recording_is_watched(home: House) -> None:
    assert (await home.get("/api/v1/recordings/RC_none/live", home.server())).status == 404
    starting = await running(home, status="starting")
    answer = await home.get(live_path(starting), home.host("r"))
    assert (answer.status, answer.code) == (409, "not_recording_yet")
    over = await home.recorded("r")
    for path in (live_path(over), f"{live_path(over)}/any", f"{live_path(over)}/any/place?at=0"):
        answer = await home.get(path, home.host("r"))
        assert (answer.status, answer.code) == (410, "recording_over")


async def test_the_end_of_the_recording_takes_the_streams_away(home: House) -> None:
    row = await running(home)
    (stream,) = await streams(home, row)
    home.services.recordings.subscribe(home.services.live.recording_changed)
    over = await home.services.catalog.recordings.update(row.id, status="processing")
    home.services.live.recording_changed(over)
    assert (await home.get(stream["url"])).status == 410
    await home.services.live.close()
    assert list((home.services.settings.data_dir / "live").rglob("*")) == []


# --- attacks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../secret",
        "..%2f..%2fmediaserver.db",
        "%2e%2e%2f%2e%2e%2fjournals",
        "%2fetc%2fpasswd",
        "1%00",
        "*",
        ".",
    ],
)
async def test_path_traversal_in_a_stream_id_finds_nothing(home: House, name: str) -> None:
    row = await running(home)
    (stream,) = await streams(home, row)
    (home.services.settings.data_dir / "live" / "secret").write_text("secret")
    token = home.host("r")
    for path in (f"{live_path(row)}/{name}", f"{live_path(row)}/{stream['streamId']}/../{name}"):
        for extra in ("", "Range: bytes=0-\r\n"):
            answer = await raw_get(home, path, f"Authorization: Bearer {token}\r\n{extra}")
            assert answer.split()[1] in (b"404", b"400"), answer[:200]
            assert b"secret" not in answer


async def test_a_stranger_sees_no_stream_and_starts_no_follower(home: House) -> None:
    row = await running(home)
    for token, status in ((None, 401), (home.host("other"), 403), (home.participant("r"), 403)):
        assert (await home.get(live_path(row), token)).status == status
        assert (await home.get(f"{live_path(row)}/x", token)).status == status
    assert not (home.services.settings.data_dir / "live").exists()
    assert (await home.get(live_path(row), home.participant("r", "ada"))).status == 200


async def test_a_link_to_one_stream_opens_no_other(home: House) -> None:
    row = await running(home)
    (stream,) = await streams(home, row)
    path, signature = stream["url"].split("?")
    assert (await home.get(f"{path}x?{signature}")).status == 401
    assert (await home.get(f"{live_path(row)}?{signature}")).status == 401
    file = path.replace("/live/", "/files/")
    assert (await home.get(f"{file}?{signature}")).status == 401


# --- bounds ---------------------------------------------------------------------------------------


@pytest.fixture
async def busy(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose one follower is taken."""
    async with house(tmp_path) as home:
        yield home


async def test_only_so_many_recordings_are_watched_at_once(busy: House) -> None:
    first, second = await running(busy), await running(busy, "s")
    live = LiveStreams(busy.services.settings.data_dir, busy.services.space, keep_free=0, at_once=1)
    object.__setattr__(busy.services, "live", live)
    assert (await busy.get(live_path(first), busy.host("r"))).status == 200
    answer = await busy.get(live_path(second), busy.host("s"))
    assert (answer.status, answer.code) == (503, "too_many_followed")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await busy.get(live_path(first), busy.host("r"))).status == 200


async def raw_get(home: House, path: str, headers: str) -> bytes:
    """The whole answer to a request for the path as it is: no client tidies it up."""
    url = home.client.make_url("/")
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"GET {path} HTTP/1.1\r\nHost: {url.host}\r\nConnection: close\r\n{headers}\r\n"
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()
    return answer
