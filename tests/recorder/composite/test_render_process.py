"""The render job as the process that it is: its words, its death, its disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recorder.jobs import FinalizeResult
from tests.media_truth import measure
from tests.recorder.composite.known_films import FIRST, Content, Stage, still_moving

LIMITED = """
import resource, runpy, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
runpy.run_module("recorder.render", run_name="__main__")
"""

NO_ROOM = """
import sys, recorder.render as job
job.free_bytes = lambda folder: 0
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
sys.exit(job.main())
"""


def begin(stage: Stage, program: str = "", **options: Any) -> subprocess.Popen[str]:
    spec = stage.folder / "spec.json"
    spec.write_text(json.dumps(stage.spec(**options).to_json()))
    return begin_with(spec, program)


def begin_with(spec: Path, program: str = "") -> subprocess.Popen[str]:
    module = ["-c", program] if program else ["-m", "recorder.render"]
    return subprocess.Popen(
        [sys.executable, *module, "--spec", str(spec)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def lines_of(job: subprocess.Popen[str]) -> list[dict[str, Any]]:
    assert job.stdout is not None
    return [json.loads(line) for line in job.stdout]


def end(job: subprocess.Popen[str]) -> int:
    assert job.stdin is not None
    assert job.stdout is not None
    status = job.wait(60)
    job.stdin.close()
    job.stdout.close()
    return status


def until_it_renders(job: subprocess.Popen[str]) -> None:
    """Some of the picture is in the file by then."""
    assert job.stdout is not None
    while json.loads(job.stdout.readline())["progress"] < 0.1:
        pass


def films(stage: Stage) -> list[str]:
    return sorted(path.name for path in stage.folder.iterdir() if path.name.startswith("film"))


@pytest.fixture(scope="module")
def a_minute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = Content(FIRST["alice"], still_moving(60, rate=10), (160, 90), sound_span=(0, 60))
    return content.write(tmp_path_factory.mktemp("long") / "alice.webm")


@pytest.fixture
def long(stage: Stage, a_minute: Path) -> Stage:
    """Long enough to be interrupted."""
    stage.take("alice", a_minute)
    return stage


def test_it_tells_its_progress_and_its_result(stage: Stage) -> None:
    stage.add("alice", Content(FIRST["alice"], still_moving(3), sound_span=(0, 3)), at=1.0)
    job = begin(stage, names=False)
    *progress, last = lines_of(job)
    assert end(job) == 0
    told = [line["progress"] for line in progress]
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 20
    result = FinalizeResult.from_json(last["result"])
    file, *made = result.files
    assert (file.kind, file.content_type, file.participant_id) == ("composite", "video/mp4", "")
    assert (file.width, file.height, file.start_seconds) == (1280, 720, 1.0)
    assert file.duration_seconds == pytest.approx(3.0, abs=0.05)
    assert file.size == file.path.stat().st_size
    assert result.failures == ()
    assert {each.derived_from for each in made} <= {file.path.name}
    assert {each.role for each in made} == {"poster", "strip", "cues"}
    assert measure(file.path).counters == tuple(range(FIRST["alice"], FIRST["alice"] + 90))


def test_its_index_is_at_the_front_and_keyframes_come_often(stage: Stage) -> None:
    stage.add("alice", Content(FIRST["alice"], still_moving(9), sound_span=(0, 9)))
    job = begin(stage)
    (*_, last) = lines_of(job)
    assert end(job) == 0
    path = FinalizeResult.from_json(last["result"]).files[0].path
    head = path.read_bytes()[:64]
    assert b"moov" in head
    probe = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v", "-skip_frame", "nokey",
         "-show_entries", "frame=pts_time", "-of", "csv=p=0", str(path)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    times = [float(line.strip(",")) for line in probe.stdout.split()]
    assert times[0] == 0.0
    assert max(b - a for a, b in zip(times, [*times[1:], 9.0], strict=True)) <= 4.0


def test_sound_alone_is_called_so(stage: Stage) -> None:
    stage.add("alice", Content(times=()))
    job = begin(stage, audio_only=True)
    (*_, last) = lines_of(job)
    assert end(job) == 0
    (file,) = FinalizeResult.from_json(last["result"]).files
    assert (file.content_type, file.width) == ("audio/mp4", None)


def test_it_fails_with_a_reason(stage: Stage) -> None:
    stage.take("alice", stage.folder / "gone.webm")
    job = begin(stage)
    *_, last = lines_of(job)
    assert end(job) == 1
    assert last["error"]["code"] == "nothing_to_render"
    assert "gone.webm" in last["error"]["message"]
    assert films(stage) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [("", "bad_spec"), ("[]", "bad_spec"), ("{}", "bad_sources"), (None, "job_failed")],
)
def test_a_spec_that_is_none_is_refused(tmp_path: Path, content: str | None, code: str) -> None:
    spec = tmp_path / "spec.json"
    if content is not None:
        spec.write_text(content)
    job = begin_with(spec)
    (line,) = lines_of(job)
    assert end(job) == 1
    assert line["error"]["code"] == code


def test_it_ends_when_its_parent_has_died_and_leaves_nothing(long: Stage) -> None:
    job = begin(long)
    until_it_renders(job)
    assert job.stdin is not None
    job.stdin.close()
    assert job.wait(60) == 3
    assert job.stdout is not None
    assert "result" not in job.stdout.read()
    job.stdout.close()
    assert films(long) == []


def test_terminated_it_leaves_nothing(long: Stage) -> None:
    job = begin(long)
    until_it_renders(job)
    job.terminate()
    assert not any("result" in line for line in lines_of(job))
    assert end(job) == -signal.SIGTERM
    assert films(long) == []


def test_killed_it_leaves_nothing_under_the_name_and_the_next_begins_anew(long: Stage) -> None:
    job = begin(long)
    until_it_renders(job)
    job.send_signal(signal.SIGKILL)
    assert end(job) == -signal.SIGKILL
    assert films(long) == ["film.mp4.partial"]
    long.sources.clear()
    long.add("bob")
    job = begin(long)
    (*_, last) = lines_of(job)
    assert end(job) == 0
    assert FinalizeResult.from_json(last["result"]).files[0].duration_seconds < 3
    assert "film.mp4.partial" not in films(long)


def test_ctrl_c_in_a_terminal_is_not_meant_for_it(stage: Stage) -> None:
    stage.add("alice")
    job = begin(stage)
    until_it_renders(job)
    job.send_signal(signal.SIGINT)
    *_, last = lines_of(job)
    assert end(job) == 0
    assert "result" in last


def test_a_disk_that_refuses_leaves_nothing(stage: Stage) -> None:
    """The limit on file sizes stands for the end of the disk."""
    stage.add("alice")
    job = begin(stage, LIMITED)
    *_, last = lines_of(job)
    assert end(job) == 1
    assert last["error"]["code"] == "job_failed"
    assert films(stage) == []


def test_a_disk_without_room_has_a_code_of_its_own(stage: Stage) -> None:
    stage.add("alice")
    job = begin(stage, NO_ROOM)
    *_, last = lines_of(job)
    assert end(job) == 1
    assert last["error"]["code"] == "disk_full"
    assert films(stage) == []


def test_it_gives_way_to_calls(long: Stage) -> None:
    job = begin(long)
    until_it_renders(job)
    assert os.getpriority(os.PRIO_PROCESS, job.pid) >= 10
    assert os.sched_getscheduler(job.pid) == os.SCHED_BATCH
    job.kill()
    end(job)
