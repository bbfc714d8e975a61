"""Amazon's limits, which no server on this machine has room for: objects that are not really there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from storage.objects import ObjectInfo
from storage.objects.s3 import S3Store
from storage.objects.s3_bucket import Bucket
from tests.rig.s3_fake import BUCKET, S3Fake, s3_fake
from tests.storage.contents import WEBM, keys, read

GIBIBYTE = 1 << 30
TEBIBYTE = 1 << 40


@pytest.fixture
def fake() -> Iterator[S3Fake]:
    with s3_fake() as running:
        yield running


@pytest_asyncio.fixture
async def store(fake: S3Fake) -> AsyncIterator[S3Store]:
    bucket = Bucket(BUCKET, access_key_id="a", secret_access_key="b", endpoint=fake.endpoint)
    store = S3Store(bucket)
    yield store
    await store.close()


@pytest.mark.parametrize(
    ("size", "requests"),
    [
        (5 * GIBIBYTE, {"copy_object": 1}),
        (5 * GIBIBYTE + 1, {"upload_part_copy": 11}),
        (60 * GIBIBYTE, {"upload_part_copy": 120}),
        pytest.param(5 * TEBIBYTE, {"upload_part_copy": 10_000}, marks=pytest.mark.long),
    ],
    ids=["5GiB", "5GiB_and_a_byte", "60GiB", "5TiB"],
)
async def test_a_copy_larger_than_one_request_may_be_goes_in_parts(
    fake: S3Fake, store: S3Store, size: int, requests: dict[str, int]
) -> None:
    fake.hold("a", size)
    copied = await store.copy("a", "b")
    assert copied == ObjectInfo("b", size, copied.modified_at, WEBM)
    state = fake.state()
    assert state.objects["b"].size == size
    assert state.uploads == 0
    for name in ("copy_object", "upload_part_copy"):
        assert state.requests.get(name, 0) <= requests.get(name, 0)


async def test_a_range_far_inside_a_large_object(fake: S3Fake, store: S3Store) -> None:
    fake.hold("a", TEBIBYTE)
    assert await read(store, "a", TEBIBYTE - 10) == bytes(10)
    assert await read(store, "a", 50 * GIBIBYTE, 50 * GIBIBYTE + 1000) == bytes(1000)


async def test_deleting_many_says_the_digest_that_some_stores_insist_on(
    fake: S3Fake, store: S3Store
) -> None:
    for number in range(3):
        fake.hold(f"a/{number}", 1)
    await store.delete_many([f"a/{number}" for number in range(2)])
    assert await keys(store) == ["a/2"]
