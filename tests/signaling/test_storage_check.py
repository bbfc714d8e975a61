"""`mediaserver storage check`: what works, and in plain words what does not and where to change it.

Each misconfiguration is a real one where this machine has the real thing: a gateway that checks
signatures, policies and clocks, a port that nobody listens at, a folder that is a file.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from signaling.cli import main
from tests.rig.ceph import Radosgw, S3User, radosgw
from tests.rig.gcs import gcs_rig
from tests.rig.s3_fake import BUCKET, REGION, S3Fake, s3_fake
from tests.rig.vercel import new_token, vercel_rig
from tests.signaling.command_line import run

STEPS = ["write", "read back", "read a range", "list", "copy", "multipart upload", "signed link"]
STEPS += ["delete"]
KEY_NAMES = ("RECORDING_S3_ACCESS_KEY_ID", "RECORDING_S3_SECRET_ACCESS_KEY")


@pytest.fixture(scope="module")
def s3() -> Iterator[Radosgw]:
    with radosgw() as running:
        yield running


@pytest.fixture
def fake() -> Iterator[S3Fake]:
    with s3_fake() as running:
        yield running


@dataclass(frozen=True, slots=True)
class Report:
    """What `storage check` printed: the steps that work, and one complaint for each that fails."""

    text: str
    fine: list[str]
    failed: dict[str, str]


Check = Callable[..., Report]


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Check]:
    """`storage check` with settings from the environment, in this process: SDKs load once so."""

    def check(environment: Mapping[str, str], *arguments: str) -> Report:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            main(["storage", "check", *arguments])
        said = capsys.readouterr()
        return report_of(end.value.code, said.out, said.err, environment)

    monkeypatch.chdir(tmp_path)
    mask = os.umask(0o077)
    yield check
    os.umask(mask)  # commands set it


def report_of(status: Any, out: str, err: str, environment: Mapping[str, str]) -> Report:
    """Every line is understood, and nothing secret was printed, whatever happened."""
    for name, value in environment.items():
        if any(word in name for word in ("SECRET", "TOKEN", "CREDENTIALS")):
            assert value not in out + err
    assert not re.search(r"[Ss]ignature=|X-Amz-|Traceback", out + err)
    fine = re.findall(r"^ok   \S+: ([a-z ]+?) \(\d+ ms\)$", out, re.MULTILINE)
    failed = dict(re.findall(r"^FAIL \S+: ([a-z ]+): (.+)$", out, re.MULTILINE))
    assert len(fine) + len(failed) == len(out.splitlines()), out
    assert (status, err) == (1 if failed else 0, ""), (out, err)
    return Report(out, fine, failed)


def the_bucket(
    s3: Radosgw, bucket: str, user: S3User | None = None, **changes: str
) -> dict[str, str]:
    return {
        "RECORDING_STORAGE_PROVIDER": "s3",
        "RECORDING_S3_BUCKET": bucket,
        "RECORDING_S3_ENDPOINT": s3.endpoint,
        "RECORDING_S3_ACCESS_KEY_ID": (user or s3).access_key_id,
        "RECORDING_S3_SECRET_ACCESS_KEY": (user or s3).secret_access_key,
        **changes,
    }


def the_fake(endpoint: str) -> dict[str, str]:
    return {
        "RECORDING_STORAGE_PROVIDER": "s3",
        "RECORDING_S3_BUCKET": BUCKET,
        "RECORDING_S3_ENDPOINT": endpoint,
        "RECORDING_S3_ACCESS_KEY_ID": "AKFAKE",
        "RECORDING_S3_SECRET_ACCESS_KEY": "the fake checks no signatures",
    }


def keys_in(s3: Radosgw, bucket: str) -> list[str]:
    listed = s3.client.list_objects_v2(Bucket=bucket)
    return [found["Key"] for found in listed.get("Contents", ())]


# --- what works -----------------------------------------------------------------------------------


def test_a_bucket_that_works_is_empty_afterwards(s3: Radosgw, check: Check) -> None:
    bucket = s3.new_bucket()
    report = check(the_bucket(s3, bucket))
    assert (report.fine, report.failed) == (STEPS, {})
    assert keys_in(s3, bucket) == []
    assert s3.unfinished_uploads(bucket) == 0


def test_a_bucket_that_keeps_versions_is_empty_afterwards(s3: Radosgw, check: Check) -> None:
    bucket = s3.new_bucket(versioned=True)
    environment = {
        "RECORDING_STORAGE_PROVIDER": "b2",
        "BACKBLAZE_B2_BUCKET_NAME": bucket,
        "BACKBLAZE_B2_ENDPOINT": s3.endpoint,
        "BACKBLAZE_B2_ACCESS_KEY_ID": s3.access_key_id,
        "BACKBLAZE_B2_SECRET_ACCESS_KEY": s3.secret_access_key,
    }
    report = check(environment)
    assert (report.fine, report.failed) == (STEPS, {})
    listed = s3.client.list_object_versions(Bucket=bucket)
    assert not listed.get("Versions")
    assert not listed.get("DeleteMarkers")


def test_main_and_fallback_are_checked_in_this_order(s3: Radosgw, check: Check) -> None:
    environment = the_bucket(s3, s3.new_bucket(), RECORDING_FALLBACK_PROVIDER="local")
    report = check(environment)
    providers = re.findall(r"^ok   (\S+):", report.text, re.MULTILINE)
    assert list(dict.fromkeys(providers)) == ["s3", "local"]
    there = [step for step in STEPS if step not in ("multipart upload", "signed link")]
    assert report.fine == STEPS + there


def test_a_named_provider_is_checked_instead(s3: Radosgw, check: Check) -> None:
    environment = the_bucket(s3, s3.new_bucket(), RECORDING_STORAGE_PROVIDER="local")
    report = check(environment, "s3")
    assert (report.fine, report.failed) == (STEPS, {})


def test_google_cloud_storage(check: Check, tmp_path: Path) -> None:
    with gcs_rig() as rig:
        (tmp_path / "key.json").write_text(rig.credentials_json)
        environment = {
            "RECORDING_STORAGE_PROVIDER": "gcs",
            "RECORDING_GCS_BUCKET": rig.bucket,
            "RECORDING_GCS_KEY_FILENAME": str(tmp_path / "key.json"),
            "STORAGE_EMULATOR_HOST": rig.endpoint,
        }
        report = check(environment)
    assert (report.fine, report.failed) == (STEPS, {})


def test_vercel_blob(check: Check) -> None:
    with vercel_rig() as rig:
        report = check(the_blobs(rig.api_url, rig.token))
    assert (report.fine, report.failed) == (STEPS, {})


def the_blobs(api_url: str, token: str) -> dict[str, str]:
    return {
        "RECORDING_STORAGE_PROVIDER": "vercel-blob",
        "BLOB_READ_WRITE_TOKEN": token,
        "VERCEL_BLOB_API_URL": api_url,
    }


# --- what does not: keys and rights ---------------------------------------------------------------


def the_only(failed: Mapping[str, str], step: str, *words: str) -> None:
    """Just this step fails, and its complaint has these words."""
    assert list(failed) == [step]
    for word in words:
        assert word in failed[step], failed


def test_a_wrong_secret(s3: Radosgw, check: Check) -> None:
    wrong = {"RECORDING_S3_SECRET_ACCESS_KEY": "not the secret of this key"}
    report = check(the_bucket(s3, s3.new_bucket(), **wrong))
    the_only(report.failed, "write", "secret access key is not", *KEY_NAMES)


def test_an_unknown_key(s3: Radosgw, check: Check) -> None:
    wrong = {"RECORDING_S3_ACCESS_KEY_ID": "AKNOBODY"}
    report = check(the_bucket(s3, s3.new_bucket(), **wrong))
    the_only(report.failed, "write", "does not know this access key id", *KEY_NAMES)


def test_expired_credentials(fake: S3Fake, check: Check) -> None:
    fake.answer_with("ExpiredToken")
    report = check(the_fake(fake.endpoint))
    the_only(report.failed, "write", "have expired", "put new ones into", *KEY_NAMES)


def test_no_permission_to_write(s3: Radosgw, check: Check) -> None:
    bucket = s3.new_bucket()
    reader = s3.new_reader(bucket)
    report = check(the_bucket(s3, bucket, reader))
    the_only(report.failed, "write", "does not allow", "allow s3:PutObject", KEY_NAMES[0])


def test_no_permission_to_delete(s3: Radosgw, check: Check) -> None:
    bucket, user = s3.new_bucket(), s3.new_user()
    s3.allow(
        bucket,
        user,
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListBucket",
        "s3:AbortMultipartUpload",
    )
    report = check(the_bucket(s3, bucket, user))
    assert report.fine == STEPS[:-1]
    the_only(report.failed, "delete", "does not allow", "allow s3:DeleteObject")


def test_no_permission_to_list_does_not_hide_what_else_fails(s3: Radosgw, check: Check) -> None:
    bucket, user = s3.new_bucket(), s3.new_user()
    s3.allow(bucket, user, "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload")
    report = check(the_bucket(s3, bucket, user))
    assert list(report.failed) == ["list", "delete"]
    assert "allow s3:ListBucket" in report.failed["list"]


def test_a_wrong_token_of_vercel_blob(check: Check) -> None:
    with vercel_rig() as rig:
        report = check(the_blobs(rig.api_url, new_token()))
    the_only(report.failed, "write", "does not accept the token", "check BLOB_READ_WRITE_TOKEN")


def test_a_token_that_is_none(check: Check) -> None:
    report = check(the_blobs("http://127.0.0.1:1", "not-a-token-of-vercel"))
    the_only(report.failed, "open", "vercel_blob_rw_", "check BLOB_READ_WRITE_TOKEN")


def test_a_google_key_file_that_is_no_json(check: Check, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("-----BEGIN PRIVATE KEY-----\nnobody sees this")
    environment = {
        "RECORDING_STORAGE_PROVIDER": "gcs",
        "RECORDING_GCS_BUCKET": "bucket",
        "RECORDING_GCS_KEY_FILENAME": str(tmp_path / "key.json"),
    }
    report = check(environment)
    the_only(report.failed, "open", "key.json", "not the JSON", "check RECORDING_GCS_KEY_FILENAME")
    assert "nobody sees this" not in report.text


# --- what does not: places and times --------------------------------------------------------------


def test_a_bucket_that_is_not_there(s3: Radosgw, check: Check) -> None:
    report = check(the_bucket(s3, "no-such-bucket"))
    the_only(report.failed, "write", "no-such-bucket", "no bucket of this name")
    assert "check RECORDING_S3_BUCKET" in report.failed["write"]


def test_nothing_listens_at_the_endpoint(check: Check) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and not listening: nobody else gets the port
        port = nobody.getsockname()[1]
        report = check(the_fake(f"http://127.0.0.1:{port}"))
    the_only(report.failed, "write", f":{port}", "nothing answers", "check RECORDING_S3_ENDPOINT")


class WebPage(BaseHTTPRequestHandler):
    """Answers whatever it is asked with a page."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        page = b"<!doctype html><p>Welcome"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)

    # the names that http.server looks for
    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def web_page() -> Iterator[str]:
    """The address of a server that is no S3."""
    with ThreadingHTTPServer(("127.0.0.1", 0), WebPage) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def test_something_else_answers_at_the_endpoint(check: Check, web_page: str) -> None:
    report = check(the_fake(web_page))
    (step,) = report.failed
    assert "check RECORDING_S3_ENDPOINT" in report.failed[step]


@pytest.mark.parametrize("code", ["AuthorizationHeaderMalformed", "PermanentRedirect"])
def test_a_bucket_in_another_region(code: str, fake: S3Fake, check: Check) -> None:
    fake.answer_with(code)
    report = check(the_fake(fake.endpoint))
    the_only(report.failed, "write", "region", REGION, "set RECORDING_S3_REGION")


async def test_a_clock_that_is_wrong(s3: Radosgw, tmp_path: Path) -> None:
    environment = the_bucket(s3, s3.new_bucket(), FAKETIME_DONT_FAKE_MONOTONIC="1")
    tomorrow = ("faketime", "-f", "+1d")
    ended = await run(tmp_path, "storage", "check", through=tomorrow, **environment)
    report = report_of(ended.status, ended.out, ended.err, environment)
    the_only(report.failed, "write", "this machine's clock is wrong", "set it")


def test_a_folder_that_is_a_file(check: Check, tmp_path: Path) -> None:
    (tmp_path / "films").write_text("in the way")
    report = check({"RECORDING_OUTPUT_DIR": str(tmp_path / "films")})
    the_only(report.failed, "write", "films", "set RECORDING_OUTPUT_DIR")


async def test_a_provider_without_settings_is_refused(tmp_path: Path) -> None:
    ended = await run(tmp_path, "storage", "check", "gcs")
    assert ended.status == 2
    assert "RECORDING_GCS_BUCKET" in ended.complaint


async def test_a_provider_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    ended = await run(tmp_path, "storage", "check", "dropbox")
    assert ended.status == 2
    assert "vercel-blob" in ended.complaint


# --- doctor ---------------------------------------------------------------------------------------


async def test_doctor_names_the_first_step_that_fails(s3: Radosgw, tmp_path: Path) -> None:
    good = the_bucket(s3, s3.new_bucket())
    assert "ok   storage: s3 can be" in (await run(tmp_path, "doctor", **good)).out
    wrong = {**good, "RECORDING_S3_BUCKET": "no-such-bucket"}
    ended = await run(tmp_path, "doctor", **wrong)
    (line,) = [line for line in ended.out.splitlines() if " storage: " in line]
    assert line.startswith("FAIL storage: s3: write: ")
    assert "RECORDING_S3_BUCKET" in line
    assert ended.status == 1
    assert not (tmp_path / "data" / "recordings").exists()  # nobody asked for a local store
