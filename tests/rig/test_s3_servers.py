"""The S3 servers for tests measure themselves: real rights, real limits, and gone at the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.rig.ceph import radosgw
from tests.rig.s3_fake import BUCKET, REGION, S3Fake, s3_fake
from tests.rig.waiting import until

ROOT = Path(__file__).parents[2]
MEBIBYTE = 1 << 20

CEPH_PROGRAM = """
import time
from tests.rig.ceph import radosgw
with radosgw() as gateway:
    print(gateway.endpoint, gateway.folder, flush=True)
    time.sleep(600)
"""


# --- the S3 fake ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fake() -> Iterator[S3Fake]:
    with s3_fake() as running:
        yield running


@pytest.fixture
def fake_client(fake: S3Fake) -> Iterator[Any]:
    client = client_of(fake.endpoint)
    yield client
    client.close()
    fake.answer_with(None)


def client_of(endpoint: str, key_id: str = "any", secret: str = "any") -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
        ),
    )


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


class FakeUpload:
    """A multipart upload to the fake by hand."""

    def __init__(self, client: Any, key: str) -> None:
        self._client = client
        self._names = {"Bucket": BUCKET, "Key": key}
        answer = client.create_multipart_upload(**self._names, ContentType="video/webm")
        self._names["UploadId"] = answer["UploadId"]
        self.parts: list[dict[str, object]] = []

    def send(self, number: int, size: int) -> None:
        answer = self._client.upload_part(**self._names, PartNumber=number, Body=bytes(size))
        self.parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def complete(self) -> None:
        self._client.complete_multipart_upload(**self._names, MultipartUpload={"Parts": self.parts})


def test_the_fake_counts_parts_and_gives_back_zeros(fake: S3Fake, fake_client: Any) -> None:
    upload = FakeUpload(fake_client, "a b/é")
    assert fake.state().uploads == 1
    for number, size in enumerate((5 * MEBIBYTE, 6 * MEBIBYTE, 1), start=1):
        upload.send(number, size)
    upload.complete()
    kept = fake.state().objects["a b/é"]
    assert kept.parts == (5 * MEBIBYTE, 6 * MEBIBYTE, 1)
    assert kept.size == 11 * MEBIBYTE + 1
    answer = fake_client.get_object(Bucket=BUCKET, Key="a b/é", Range="bytes=5-14")
    assert answer["Body"].read() == bytes(10)
    assert answer["ContentType"] == "video/webm"
    assert fake.state().uploads == 0


def test_the_fake_holds_clients_to_the_limits_of_s3(fake: S3Fake, fake_client: Any) -> None:
    small = FakeUpload(fake_client, "small")
    small.send(1, 5 * MEBIBYTE - 1)
    small.send(2, 1)
    with pytest.raises(ClientError) as too_small:
        small.complete()
    swapped = FakeUpload(fake_client, "swapped")
    swapped.send(2, 1)
    swapped.send(1, 5 * MEBIBYTE)
    with pytest.raises(ClientError) as wrong_order:
        swapped.complete()
    other = FakeUpload(fake_client, "other")
    other.send(1, 1)
    other.parts[0]["ETag"] = '"of another part"'
    with pytest.raises(ClientError) as wrong_etag:
        other.complete()
    with pytest.raises(ClientError) as too_many:
        other.send(10_001, 1)
    with pytest.raises(ClientError) as too_long:
        fake_client.put_object(Bucket=BUCKET, Key="a" * 1025, Body=b"")
    with pytest.raises(ClientError) as no_bucket:
        fake_client.list_objects_v2(Bucket="another")
    assert [
        code_of(error)
        for error in (too_small, wrong_order, wrong_etag, too_many, too_long, no_bucket)
    ] == [
        "EntityTooSmall", "InvalidPartOrder", "InvalidPart", "InvalidArgument",
        "KeyTooLongError", "NoSuchBucket",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDenied", 403),
        ("AuthorizationHeaderMalformed", 400),
        ("ExpiredToken", 400),
        ("InvalidAccessKeyId", 403),
        ("PermanentRedirect", 301),
        ("RequestTimeTooSkewed", 403),
        ("SignatureDoesNotMatch", 403),
        ("SlowDown", 503),
    ],
)
def test_the_fake_answers_as_it_was_told(
    fake: S3Fake, fake_client: Any, code: str, status: int
) -> None:
    fake.answer_with(code)
    with pytest.raises(ClientError) as caught:
        fake_client.put_object(Bucket=BUCKET, Key="a", Body=bytes(100_000))
    assert code_of(caught) == code
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    if status in (301, 400) and code != "ExpiredToken":
        assert REGION in str(answer)
    fake.answer_with("SlowDown", times=1)
    with pytest.raises(ClientError):
        fake_client.put_object(Bucket=BUCKET, Key="a", Body=b"")
    fake_client.put_object(Bucket=BUCKET, Key="a", Body=b"")


# --- the S3 gateway -------------------------------------------------------------------------------


def test_the_gateway_knows_who_may_do_what() -> None:
    with radosgw() as gateway:
        bucket = gateway.new_bucket()
        assert gateway.new_bucket(versioned=True) != bucket
        gateway.client.put_object(Bucket=bucket, Key="a", Body=b"content")
        reader, stranger = gateway.new_reader(bucket), gateway.new_user()
        codes = []
        for user, secret in (
            (reader, "wrong"),
            (stranger, stranger.secret_access_key),
            (reader, reader.secret_access_key),
        ):
            client = client_of(gateway.endpoint, user.access_key_id, secret)
            try:
                client.get_object(Bucket=bucket, Key="a")["Body"].read()
                client.put_object(Bucket=bucket, Key="a", Body=b"evil")
            except ClientError as error:
                codes.append((error.operation_name, error.response["Error"]["Code"]))
            client.close()
        assert codes == [
            ("GetObject", "SignatureDoesNotMatch"),
            ("GetObject", "AccessDenied"),
            ("PutObject", "AccessDenied"),
        ]
        gateway.client.create_multipart_upload(Bucket=bucket, Key="b")
        assert gateway.unfinished_uploads(bucket) == 1
        gateway.empty(bucket)
        assert gateway.unfinished_uploads(bucket) == 0
        assert gateway.client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
        endpoint = gateway.endpoint
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(endpoint, timeout=5)


async def test_a_gateway_ends_with_tests_that_are_killed() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CEPH_PROGRAM, cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    endpoint, folder = (await process.stdout.readline()).decode().split()
    assert answers(endpoint)
    process.kill()
    await process.wait()
    await until(lambda: not answers(endpoint), within=10, what="the gateway is gone")
    await until(lambda: not Path(folder).exists(), within=10, what="nothing of it is left")


def answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(endpoint, timeout=5).close()
    except OSError:
        return False
    return True
