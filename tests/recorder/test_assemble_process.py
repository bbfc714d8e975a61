"""The assembly job as the process that it is: its words, its lock, its death."""

from __future__ import annotations

import fcntl
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recorder.chunks.checking import check_file
from recorder.chunks.child import run_decoder
from recorder.chunks.webm import CLUSTER, TIMESTAMP
from recorder.jobs import FinalizeResult
from tests.recorder.made_chunks import (
    FIREFOX,
    lay_out,
    real_set,
    record,
    spec_of,
    webm_elements,
)
from tests.recorder.measured import cost_of

SMALL_DISK = """
import resource, runpy, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
runpy.run_module("recorder.assemble", run_name="__main__")
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """Of a set with two parts."""
    lay_out(tmp_path / "set", 0, real_set("audio_webm"))
    lay_out(tmp_path / "set", 1, real_set("mp4"))
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec_of(tmp_path)))
    return path


def begin(spec: Path, program: str = "") -> subprocess.Popen[str]:
    module = ["-c", program] if program else ["-m", "recorder.assemble"]
    return subprocess.Popen(
        [sys.executable, *module, "--spec", str(spec)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def lines_of(job: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    """Its status and all it said."""
    assert job.stdin is not None
    assert job.stdout is not None
    said = [json.loads(line) for line in job.stdout]
    status = job.wait(60)
    job.stdin.close()
    job.stdout.close()
    return status, said


def result_of(job: subprocess.Popen[str]) -> FinalizeResult:
    status, said = lines_of(job)
    assert status == 0
    return FinalizeResult.from_json(said[-1]["result"])


def test_it_tells_its_progress_and_its_result(spec: Path) -> None:
    status, (*progress, last) = lines_of(begin(spec))
    assert status == 0
    told = [line["progress"] for line in progress]
    assert told == sorted(told)
    assert len(told) > 3
    assert told[-1] == 1.0
    files = FinalizeResult.from_json(last["result"]).files
    assert [file.content_type for file in files] == ["audio/webm", "video/mp4"]


@pytest.mark.parametrize("text", ["[]", "{", "{}", '{"folder": 5}'])
def test_a_spec_that_is_none_has_a_reason(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.json"
    path.write_text(text)
    status, (line,) = lines_of(begin(path))
    assert status == 1
    assert line["error"]["code"] == "job_failed"
    assert line["error"]["message"].startswith("the spec is not")


def test_killed_at_any_instant_it_can_be_run_again(spec: Path) -> None:
    """The output of those that were killed is no file of ours, or a whole one."""
    dice = random.Random(3)
    for _ in range(2):
        job = begin(spec)
        assert job.stdout is not None
        for _ in range(dice.randrange(1, 20)):
            if not job.stdout.readline():
                break
        job.kill()
        lines_of(job)
    first = result_of(begin(spec))
    again = result_of(begin(spec))
    assert again == first
    output = Path(json.loads(spec.read_text())["output"])
    assert {path.name for path in output.iterdir()} == {file.path.name for file in first.files}
    assert first.integrity["complete"] is True


def test_it_ends_when_its_parent_has_died(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    lock = os.open(tmp_path / "out", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # the job waits for it, so it can't be over before
    job = begin(spec)
    assert job.stdin is not None
    job.stdin.close()
    assert job.wait(60) == 3
    assert job.stdout is not None
    job.stdout.close()
    os.close(lock)


def test_a_full_disk_fails_the_job_and_not_the_media(spec: Path) -> None:
    """The limit on file sizes stands for the end of the disk."""
    status, (*_, last) = lines_of(begin(spec, SMALL_DISK))
    assert status == 1
    assert last["error"]["code"] == "job_failed"
    assert len(result_of(begin(spec)).files) == 2


def test_a_decoder_that_dies_or_hangs_is_no_harm(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.webm"
    nothing.write_bytes(b"")
    assert check_file(nothing, lambda _: None) is None
    assert run_decoder("sched", [], lambda _: None) is None  # says nothing
    hanging = run_decoder("http.server", ["0", "--bind", "127.0.0.1"], lambda _: None, silence=0.5)
    assert hanging is None


DIES_ONCE = """
import json, os, sys
marker = sys.argv[1]
if not os.path.exists(marker):
    open(marker, "w").close()
    os.kill(os.getpid(), 9)
print(json.dumps({"result": {"streams": [], "until": None}}))
"""


def test_a_decoder_that_was_killed_from_outside_gets_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the machine is short of memory: the file is not to blame, and nothing of it is damaged."""
    (tmp_path / "dies_once.py").write_text(DIES_ONCE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = run_decoder("dies_once", [str(tmp_path / "marker")], lambda _: None)
    assert found == {"streams": [], "until": None}


# --- memory -----------------------------------------------------------------------------------------


def hours_of_sound(folder: Path, hours: float) -> None:
    """Chunks of ten seconds; the clusters of four seconds are repeated, later each time."""
    data = record(FIREFOX, 4.0, video=False)
    elements = list(webm_elements(data))
    first = next(index for index, entry in enumerate(elements) if entry[0] == CLUSTER)
    header = data[: elements[first][1]]
    group = elements[first:]
    place = folder / "0"
    pending = bytearray(header)
    sequence = 0
    for number in range(round(hours * 900)):
        for kind, at, size, head in group:
            if kind == TIMESTAMP:
                time = int.from_bytes(data[at + head : at + size], "big") + number * 4020
                pending += b"\xe7\x88" + time.to_bytes(8, "big")
            elif kind == CLUSTER:
                pending += b"\x1f\x43\xb6\x75\x01" + 7 * b"\xff"
            elif kind in (0xA3, 0xA0):
                pending += data[at : at + size]
        if number % 3 == 2:
            path = place / str(sequence // 1000) / str(sequence)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pending)
            pending.clear()
            sequence += 1


@pytest.mark.long
@pytest.mark.timeout(600)
def test_memory_stays_flat_for_hours(tmp_path: Path) -> None:
    """Three hours of sound take hardly more than a few minutes: a little for each entry of an index."""
    memory = {}
    for hours in (0.1, 3.0):
        folder = tmp_path / f"{hours:g}"
        hours_of_sound(folder / "set", hours)
        spec = folder / "spec.json"
        spec.write_text(json.dumps(spec_of(folder)))
        command = [sys.executable, "-m", "recorder.assemble", "--spec", str(spec)]
        memory[hours] = cost_of(command, folder / "words").memory
        last = (folder / "words").read_text().splitlines()[-1]
        result = FinalizeResult.from_json(json.loads(last)["result"])
        assert abs(result.files[0].duration_seconds - hours * 3618) < 60
        assert result.integrity["complete"] is True
    assert memory[3.0] - memory[0.1] < 30 << 20, memory


def test_minutes_of_sound_and_their_duration(tmp_path: Path) -> None:
    hours_of_sound(tmp_path / "set", 0.05)
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec_of(tmp_path)))
    result = result_of(begin(path))
    assert abs(result.files[0].duration_seconds - 180.9) < 5
    assert result.integrity["complete"] is True
