"""Real S3 on this machine: a throwaway Ceph of one monitor and one in-memory disk, and its gateway.

The gateway (radosgw) checks signatures, expiry, POST policies and bucket policies as S3 does, which
no small fake does. Everything listens on loopback, on ports that were free a moment before, and
keeps its files in a temporary folder. Objects rest in the disk's process, at most `MEMORY_BYTES` of
them; what is deleted is given back within seconds.

What makes it start in two seconds: the monitor does not hold votes back to bundle them, and pools
are small. What keeps it cheap: few threads.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import secrets
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

PROGRAMS = {
    "ceph-mon": "ceph-mon",
    "ceph-osd": "ceph-osd",
    "ceph": "ceph-common",
    "monmaptool": "ceph-base",
    "radosgw": "radosgw",
    "radosgw-admin": "radosgw",
}
MEMORY_BYTES = 4 << 30
CLUSTER = str(uuid.UUID(int=1))
REGION = "us-east-1"
STARTS_WITHIN = 60.0  # seconds; two are usual while nothing else runs

CONFIGURATION = """\
[global]
fsid = {fsid}
keyring = {folder}/keyring
mon host = [v2:127.0.0.1:{monitor_port}/0]
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
ms bind ipv6 = false
auth allow insecure global id reclaim = false

osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 1000
mon data avail crit = 1
paxos propose interval = 0.02
paxos min wait = 0.01

osd objectstore = memstore
memstore device bytes = {memory}
osd op num shards = 2
osd op num threads per shard = 1

osd data = {folder}/osd
mon data = {folder}/mon
run dir = {folder}/run
admin socket = {folder}/run/$name.$pid.asok
log file = {folder}/log/$name.log

rgw thread pool size = 32
rgw override bucket index max shards = 1
rgw enable usage log = false
rgw enable ops log = false
rgw gc max objs = 1
rgw gc obj min wait = 1
rgw gc processor period = 1
rgw gc processor max time = 60

[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{gateway_port} tcp_nodelay=1
"""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class S3User:
    """Keys that are right. `arn` names the user in bucket policies."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    arn: str


class Radosgw:
    """A running gateway. `access_key_id` and `secret_access_key` are its first user's, who owns
    every bucket that `new_bucket` makes. Logs are in `folder`.
    """

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.endpoint = endpoint
        self.folder = folder
        owner = self.new_user("owner")
        self.access_key_id = owner.access_key_id
        self.secret_access_key = owner.secret_access_key

    @functools.cached_property
    def client(self) -> Any:
        """The owner's own view, past the store under test. Blocks; safe in threads."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def new_bucket(self, *, versioned: bool = False) -> str:
        """The name of a new bucket without objects. Takes some milliseconds."""
        name = f"bucket-{next(_numbers)}"
        self.client.create_bucket(Bucket=name)
        if versioned:
            self.client.put_bucket_versioning(
                Bucket=name, VersioningConfiguration={"Status": "Enabled"}
            )
        return name

    def new_user(self, name: str | None = None) -> S3User:
        """Someone with right keys who may do nothing with the buckets of others."""
        user = name or f"user-{next(_numbers)}"
        keys = S3User(secrets.token_hex(10), secrets.token_hex(20), f"arn:aws:iam:::user/{user}")
        # fmt: off
        _run(self.folder, "radosgw-admin", "user", "create", "--uid", user, "--display-name", user,
             "--access-key", keys.access_key_id, "--secret-key", keys.secret_access_key)
        # fmt: on
        return keys

    def allow(self, bucket: str, user: S3User, *actions: str) -> None:
        """Let a user do just these `actions` ("s3:GetObject", ...) in a bucket of the owner's."""
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": [user.arn]},
            "Action": list(actions),
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self.client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    def new_reader(self, bucket: str) -> S3User:
        """A new user who may read and list one bucket, and write nothing."""
        user = self.new_user()
        self.allow(bucket, user, "s3:GetObject", "s3:ListBucket")
        return user

    def allow_pages(self, bucket: str, *origins: str) -> None:
        """Let scripts of these pages use the bucket: its CORS settings."""
        rule = {
            "AllowedOrigins": list(origins),
            "AllowedMethods": ["GET", "HEAD", "PUT", "POST"],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag"],
        }
        self.client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})

    def empty(self, bucket: str) -> None:
        """Remove every object, version and unfinished upload of a bucket."""
        listed = self.client.list_object_versions(Bucket=bucket)
        found = (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ()))
        if found:
            objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
            self.client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        for upload in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
            self.client.abort_multipart_upload(
                Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )
        if listed["IsTruncated"]:
            self.empty(bucket)

    def unfinished_uploads(self, bucket: str) -> int:
        return len(self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()))


@contextmanager
def radosgw() -> Iterator[Radosgw]:
    """A new, empty gateway; fails the test, with what to install, where a program is missing.

    Takes about two seconds, and memory: have one for all tests.
    """
    missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    if missing:
        pytest.fail(
            "these tests need an S3 server, and its programs are missing; "
            f"install them: apt-get install {' '.join(sorted(missing))}"
        )
    folder = Path(tempfile.mkdtemp(prefix="mediaserver-ceph-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        monitor_port, gateway_port = _free_ports(2)
        _configure(folder, monitor_port, gateway_port)
        _make_keys(folder)
        monitor = _start_monitor(folder, stack, monitor_port)
        disk = _start_disk(folder, stack)
        # the first use of the cluster by a gateway program makes the pools: user first, then server
        gateway = Radosgw(folder, f"http://127.0.0.1:{gateway_port}")
        server = _serve(folder, stack, "radosgw", "-n", "client.rgw")
        _end_with_this_process(folder, stack, monitor, disk, server)
        _wait_until_it_answers(gateway.endpoint, server, folder)
        yield gateway


def _configure(folder: Path, monitor_port: int, gateway_port: int) -> None:
    for name in ("mon", "osd", "run", "log"):
        (folder / name).mkdir()
    text = CONFIGURATION.format(
        fsid=CLUSTER,
        folder=folder,
        memory=MEMORY_BYTES,
        monitor_port=monitor_port,
        gateway_port=gateway_port,
    )
    (folder / "ceph.conf").write_text(text)


def _make_keys(folder: Path) -> None:
    capabilities = {
        "mon.": {"mon": "allow *"},
        "client.admin": {"mon": "allow *", "osd": "allow *"},
        "client.rgw": {"mon": "allow *", "osd": "allow *"},
        "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
    }
    lines = []
    for name, allowed in capabilities.items():
        secret = secrets.token_bytes(16)
        # kind 1 (AES), time of making in seconds and nanoseconds, length: ceph's CryptoKey
        key = base64.b64encode(struct.pack("<HIIH", 1, 0, 0, len(secret)) + secret).decode()
        lines += [f"[{name}]", f"key = {key}"]
        lines += [f'caps {daemon} = "{what}"' for daemon, what in allowed.items()]
    (folder / "keyring").write_text("\n".join(lines) + "\n")


def _start_monitor(folder: Path, stack: ExitStack, port: int) -> subprocess.Popen[bytes]:
    monmap, address = str(folder / "monmap"), f"[v2:127.0.0.1:{port}]"
    _run(folder, "monmaptool", "--create", "--fsid", CLUSTER, "--addv", "a", address, monmap)
    _run(folder, "ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
    return _serve(folder, stack, "ceph-mon", "-i", "a")


def _start_disk(folder: Path, stack: ExitStack) -> subprocess.Popen[bytes]:
    identity = str(uuid.uuid4())
    _run(folder, "ceph", "osd", "new", identity)  # waits for the monitor
    _run(folder, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
    return _serve(folder, stack, "ceph-osd", "-i", "0")


def _run(folder: Path, program: str, *arguments: str) -> None:
    result = subprocess.run(
        [program, "-c", folder / "ceph.conf", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=STARTS_WITHIN,
        check=False,
    )
    if result.returncode:
        pytest.fail(f"{program} {arguments[0]} failed: {result.stderr[-2000:]}")


def _serve(
    folder: Path, stack: ExitStack, program: str, *arguments: str
) -> subprocess.Popen[bytes]:
    """A server in the foreground, ended with the stack."""
    with (folder / "log" / f"{program}.out").open("wb") as out:
        process = subprocess.Popen(
            [
                program,
                "-c",
                folder / "ceph.conf",
                "-f",
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    stack.callback(process.wait)
    stack.callback(process.kill)  # nothing of it is kept
    return process


def _end_with_this_process(
    folder: Path, stack: ExitStack, *servers: subprocess.Popen[bytes]
) -> None:
    """Servers that hold gigabytes must not stay when the tests are killed: one more process waits
    for its input to end, which the kernel sees to, and then ends these and removes the folder."""
    pids = [str(server.pid) for server in servers]
    watch = subprocess.Popen(
        ["sh", "-c", 'cat; kill -9 "$@"; rm -rf "$0" || rm -rf "$0"', folder, *pids],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert watch.stdin is not None
    stack.callback(watch.wait)
    stack.callback(watch.stdin.close)


def _wait_until_it_answers(endpoint: str, server: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(endpoint, timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    logs = "".join(path.read_text()[-2000:] for path in (folder / "log").glob("*.out"))
    pytest.fail(f"the S3 gateway did not answer within {STARTS_WITHIN:g} s: {logs}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listening in sockets:
            listening.bind(("127.0.0.1", 0))
        return [listening.getsockname()[1] for listening in sockets]
