"""What Chromium's own recorder wrote and what the server received of the same call, on one time line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.recordings import record
from tests.recorder.made_chunks import BEGAN, cut, lay_out, off_the_time_line, run_job
from tests.rig.known_content import known_content_page
from tests.rig.rest import Rest, originals
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("server_unharmed"),
]

WRONG = timedelta(milliseconds=250)
"""What the page's clock is off."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(server: MediaserverProcess) -> AsyncIterator[Rest]:
    async with Rest(server.base_url, server_token()) as caller:
        yield caller


async def test_both_files_are_within_40_ms(
    server: MediaserverProcess, browser: Browser, pages_url: str, rest: Rest, tmp_path: Path
) -> None:
    room = "two copies"
    async with known_content_page(browser, pages_url) as alice:
        await alice.join(server.ws_url, participant_token(room, "alice"), "alice")
        started = datetime.now(UTC)
        await alice.start_local_file()
        recorded = await record(rest, room, alice, 8, tmp_path)
        source = await alice.stop_local_file(tmp_path / "source.webm")
    (file,) = originals(recorded.row)
    late = datetime.now(UTC).timestamp() - BEGAN
    chunks = cut(source.read_bytes())
    lay_out(tmp_path / "set", 0, chunks, [late] * len(chunks))  # all of them after the call
    began = datetime.fromisoformat(recorded.row["startedAt"]).timestamp()
    result = run_job(
        tmp_path,
        recordingStartUs=round(began * 1e6),
        parts={"0": {"startedAt": (started + WRONG).isoformat()}},
        reference=[{"path": str(recorded.path), "startSeconds": file["startSeconds"]}],
    )
    (part,) = result.integrity["parts"]
    (copy,) = result.files
    off = off_the_time_line((recorded.path, file["startSeconds"]), (copy.path, copy.start_seconds))
    assert part["alignment"]["method"] == "sound"
    assert abs(median(off)) < 0.040, (median(off), part["alignment"])
