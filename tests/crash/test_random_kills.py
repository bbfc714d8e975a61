"""`kill -9` of the whole tree at random moments of a recording, again and again on one data folder."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.e2e.recordings import fetch
from tests.media_truth import measure
from tests.rig.browser import chromium, rig_pages
from tests.rig.known_content import known_content_page
from tests.rig.media import decode_errors
from tests.rig.rest import Rest
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token, server_token

ROUNDS = 10
FPS = 30


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_killed_at_random_moments(data_dir: Path, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    dice = random.Random(seed)
    async with (
        MediaserverProcess(data_dir) as server,
        Rest(server.base_url, server_token()) as rest,
        rig_pages() as pages,
        chromium() as browser,
    ):
        for number in range(ROUNDS):
            seconds = dice.uniform(1, 10)
            said = f"round {number}, killed after {seconds:.2f} s, seed {seed}"
            room = f"round {number}"
            async with known_content_page(browser, pages) as alice:
                await alice.join(server.ws_url, participant_token(room, "alice"), "alice")
                recording = await rest.start_recording(room)
                began = await alice.snapshot()
                await alice.elapse(seconds)
                killed = await alice.snapshot()
                await server.kill9()
                drawn = await alice.drawn()
            await server.restart()
            row = await rest.recorded(recording, within=60)
            path = await fetch(rest, row["files"][0], tmp_path)
            truth = measure(path)
            due = set(range(drawn[began.drawn - 1], drawn[killed.drawn - 1] + 1)) & set(drawn)
            missing = len(due - set(truth.counters))
            assert missing <= FPS, f"{said}: {missing} of {len(due)} pictures are missing"
            assert truth.backwards == 0, said
            assert decode_errors(path) == 0, said
