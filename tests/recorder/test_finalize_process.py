"""The finalize job as the process that it is: its words, its lock, its death."""

from __future__ import annotations

import fcntl
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
from tests.recorder.known_media import audio_track, video_track


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    folder = tmp_path / "journals"
    video_track("video/H264").write(folder)
    audio_track().write(folder)
    return folder


SMALL_DISK = """
import resource, runpy, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
runpy.run_module("recorder.finalize", run_name="__main__")
"""


NO_ROOM = """
import errno, sys, recorder.finalize as job
def no_room(*_):
    raise OSError(errno.ENOSPC, "No space left on device")
job.mux = no_room
sys.exit(job.main())
"""


def begin(journals: Path, output: Path, program: str = "") -> subprocess.Popen[str]:
    module = [sys.executable, *(["-c", program] if program else ["-m", "recorder.finalize"])]
    return subprocess.Popen(
        [*module, "--journals", str(journals), "--output", str(output)],
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


def run(journals: Path, output: Path) -> FinalizeResult:
    job = begin(journals, output)
    *progress, last = lines_of(job)
    assert end(job) == 0
    assert [list(line) for line in progress] == [["progress"]] * len(progress)
    assert progress[-1] == {"progress": 1.0}
    return FinalizeResult.from_json(last["result"])


def test_it_tells_its_progress_and_its_result(journals: Path, tmp_path: Path) -> None:
    file, *pictures = run(journals, tmp_path / "output").files
    assert [made.role for made in pictures] == ["poster", "strip", "cues"]
    assert measure(file.path).counters == tuple(range(120))


def test_it_fails_with_a_reason(tmp_path: Path) -> None:
    job = begin(tmp_path / "nowhere", tmp_path / "output")
    (line,) = lines_of(job)
    assert end(job) == 1
    assert line["error"]["code"] == "job_failed"
    assert "nowhere" in line["error"]["message"]


def test_it_ends_when_its_parent_has_died(journals: Path, tmp_path: Path) -> None:
    lock = os.open(journals, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # the job waits for it, so it can't be over before
    job = begin(journals, tmp_path / "output")
    assert job.stdin is not None
    job.stdin.close()
    assert job.wait(60) == 3
    assert job.stdout is not None
    assert job.stdout.read() == ""
    job.stdout.close()
    os.close(lock)


def test_a_full_disk_fails_the_job_and_not_the_media(journals: Path, tmp_path: Path) -> None:
    """The limit on file sizes stands for the end of the disk."""

    job = begin(journals, tmp_path / "output", SMALL_DISK)
    *_, last = lines_of(job)
    assert end(job) == 1
    assert last["error"]["code"] == "job_failed"
    assert len(run(journals, tmp_path / "output").files) == 4


def test_a_disk_without_room_has_a_code_of_its_own(journals: Path, tmp_path: Path) -> None:
    job = begin(journals, tmp_path / "output", NO_ROOM)
    *_, last = lines_of(job)
    assert end(job) == 1
    assert last["error"]["code"] == "disk_full"
    assert last["error"]["message"].startswith("the disk is full")


def test_ctrl_c_in_a_terminal_is_not_meant_for_it(journals: Path, tmp_path: Path) -> None:
    job = begin(journals, tmp_path / "output")
    assert job.stdout is not None
    job.stdout.readline()
    job.send_signal(signal.SIGINT)
    *_, last = lines_of(job)
    assert end(job) == 0
    assert len(FinalizeResult.from_json(last["result"]).files) == 4


def test_two_jobs_wait_for_each_other(journals: Path, tmp_path: Path) -> None:
    jobs = [begin(journals, tmp_path / "output") for _ in range(2)]
    results = [lines_of(job)[-1]["result"] for job in jobs]
    assert [end(job) for job in jobs] == [0, 0]
    assert results[0] == results[1]


def test_killed_at_any_step_it_is_finished_by_the_next(journals: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    for told in (1, 20, 60, 90):
        job = begin(journals, output)
        assert job.stdout is not None
        for _ in range(told):
            job.stdout.readline()
        job.send_signal(signal.SIGKILL)
        assert end(job) in (-signal.SIGKILL, 0)
    files = run(journals, output).files
    assert measure(files[0].path).counters == tuple(range(120))
    assert sorted(output.iterdir()) == sorted(file.path for file in files)
