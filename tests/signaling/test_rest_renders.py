"""Renders over REST: who may, what is refused, and what is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from recorder.rendering import MOST_WAITING
from storage.catalog import RecordingRow
from tests.signaling.house import House


def render_path(row: RecordingRow) -> str:
    return f"/api/v1/recordings/{row.id}/render"


def renders_path(row: RecordingRow, render_id: str = "") -> str:
    return f"/api/v1/recordings/{row.id}/renders" + (f"/{render_id}" if render_id else "")


async def test_a_host_asks_looks_and_cancels(home: House) -> None:
    row, host = await home.recorded("r"), home.host("r")
    asked = await home.post(render_path(row), host, json={"layout": "speaker", "quality": "1080p"})
    assert asked.status == 202
    assert asked.data["renderId"] == asked.data["id"]
    assert (asked.data["status"], asked.data["recordingId"]) == ("queued", row.id)
    assert asked.data["options"]["layout"] == "speaker"
    assert asked.data["options"]["quality"]["height"] == 1080
    (listed,) = (await home.get(renders_path(row), host)).data["items"]
    assert listed["id"] == asked.data["id"]
    assert listed["status"] in {"queued", "rendering"}
    assert {"progress", "error", "fileId", "createdAt", "finishedAt"} <= listed.keys()
    for _ in range(2):
        cancelled = await home.request("DELETE", renders_path(row, asked.data["id"]), host)
        assert (cancelled.status, cancelled.data["status"]) == (200, "cancelled")
    assert cancelled.data["finishedAt"] is not None


async def test_without_a_body_it_is_a_grid(home: House) -> None:
    row = await home.recorded("r")
    asked = await home.post(render_path(row), home.server())
    assert (asked.status, asked.data["options"]["layout"]) == (202, "grid")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"layout": "mosaic"}, "bad_layout", "layout"),
        ({"quality": "8k"}, "bad_quality", "quality"),
        ({"quality": {"videoBitrate": 1}}, "bad_video_bitrate", "videoBitrate"),
        ({"audioOnly": "yes"}, "bad_audio_only", "audioOnly"),
        ({"layout": "single", "focus": "nobody"}, "bad_focus", "focus"),
    ],
)
async def test_bad_options_name_their_field(
    home: House, body: dict[str, Any], code: str, field: str
) -> None:
    row = await home.recorded("r")
    refused = await home.post(render_path(row), home.host("r"), json=body)
    assert (refused.status, refused.code) == (400, code)
    assert refused.details["fields"][0]["field"] == field
    assert (await home.get(renders_path(row), home.host("r"))).data["items"] == []


@pytest.mark.parametrize("body", [b"[1]", b"not json", b'"grid"'])
async def test_a_body_that_is_no_object(home: House, body: bytes) -> None:
    row = await home.recorded("r")
    refused = await home.post(render_path(row), home.host("r"), data=body)
    assert (refused.status, refused.code) == (400, "invalid_request")


async def test_a_guest_can_not_render_nor_look_nor_cancel(home: House) -> None:
    row = await home.recorded("r", "hanna", "paul")
    asked = (await home.post(render_path(row), home.host("r"))).data
    for token in (home.participant("r"), home.host("another"), home.token("audience", "r", "a")):
        assert (await home.post(render_path(row), token)).status == 403
        assert (await home.get(renders_path(row), token)).status == 403
        path = renders_path(row, asked["id"])
        assert (await home.request("DELETE", path, token)).status == 403
    assert (await home.post(render_path(row))).status == 401
    (listed,) = (await home.get(renders_path(row), home.server())).data["items"]
    assert listed["status"] != "cancelled"


async def test_a_render_is_cancelled_under_its_own_recording_only(home: House) -> None:
    """A host of one room with the id of another room's render."""
    mine, other = await home.recorded("r"), await home.recorded("other")
    theirs = (await home.post(render_path(other), home.host("other"))).data["id"]
    stolen = await home.request("DELETE", renders_path(mine, theirs), home.host("r"))
    assert (stolen.status, stolen.code) == (404, "unknown_render")
    (listed,) = (await home.get(renders_path(other), home.server())).data["items"]
    assert listed["status"] != "cancelled"


async def test_what_is_not_recorded_can_not_be_rendered(home: House) -> None:
    recorded = await home.recorded("r")
    recordings = home.services.catalog.recordings
    await recordings.update(recorded.id, status="processing")
    refused = await home.post(render_path(recorded), home.host("r"))
    assert (refused.status, refused.code) == (409, "nothing_to_render")
    await recordings.update(recorded.id, status="recorded")
    posters = [replace(file, role="poster", kind="thumbnail") for file in recorded.files]
    await recordings.set_files(recorded.id, posters)
    refused = await home.post(render_path(recorded), home.host("r"))
    assert (refused.status, refused.code) == (409, "nothing_to_render")
    unknown = await home.post("/api/v1/recordings/RC_none/render", home.server())
    assert (unknown.status, unknown.code) == (404, "recording_not_found")


async def test_too_many_that_wait(home: House) -> None:
    row = await home.recorded("r")
    for _ in range(MOST_WAITING):
        assert (await home.post(render_path(row), home.host("r"))).status == 202
    refused = await home.post(render_path(row), home.host("r"))
    assert (refused.status, refused.code) == (429, "too_many_renders")


async def test_a_server_that_stops_begins_nothing(home: House) -> None:
    row = await home.recorded("r")
    home.services.lifecycle.draining = True
    refused = await home.post(render_path(row), home.host("r"))
    assert (refused.status, refused.code) == (503, "stopping")


async def test_a_deleted_recording_takes_its_renders_along(home: House) -> None:
    row = await home.recorded("r")
    render = (await home.post(render_path(row), home.host("r"))).data["id"]
    deleted = await home.request("DELETE", f"/api/v1/recordings/{row.id}", home.host("r"))
    assert deleted.status == 200
    assert await home.services.catalog.renders.get(render) is None
    await home.services.renderer.idle()  # its task has ended, or this never would
