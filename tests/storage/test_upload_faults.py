"""Uploads over a bad network: only what failed is sent again, and nothing is left behind.

The server is real and the faults are ordered one by one; time is virtual.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from storage.errors import StoreUnavailable
from storage.objects.s3 import AT_ONCE
from tests.rig.faults import Answer, CutRequest, Fault, LoseAnswer, Refuse, Stall
from tests.rig.waiting import until
from tests.storage.contents import LARGE, WEBM, counting, keys, streamed
from tests.storage.stores import Network, multipart_of, unfinished

PARTS = 3  # of LARGE bytes
BEGIN = "?uploads"
PART = "partNumber="
ONLY_S3 = pytest.mark.parametrize("provider", ["s3"])


@ONLY_S3
@pytest.mark.parametrize(
    "fault",
    [CutRequest(4 << 20), Refuse(), LoseAnswer(), Answer(500)],
    ids=["cut_in_the_middle", "refused", "answer_lost", "error"],
)
async def test_a_part_that_failed_is_sent_again_and_no_other(
    network: Network, large_file: Path, fault: Fault
) -> None:
    network.proxy.inject(fault, method="PUT", containing=f"{PART}2", times=2)
    stored = await network.store.put_file("a", large_file, WEBM)
    assert await network.store.digest("a") == stored.sha256
    sent = [network.proxy.count("PUT", f"{PART}{number}") for number in (1, 2, 3)]
    assert sent == [1, 3, 1]
    assert network.proxy.count("POST") == 2, "one beginning and one completion"


@ONLY_S3
async def test_a_part_of_a_stream_that_failed_is_sent_again_and_no_other(network: Network) -> None:
    network.proxy.inject(CutRequest(1 << 20), method="PUT", containing=f"{PART}3", times=2)
    stored = await network.store.put_stream("a", streamed(counting(LARGE)), WEBM)
    assert await network.store.digest("a") == stored.sha256
    assert [network.proxy.count("PUT", f"{PART}{number}") for number in (1, 2, 3, 4)] == [
        1, 1, 3, 1,
    ]  # fmt: skip


async def test_a_cut_put_sends_little_more_than_the_object(
    network: Network, large_file: Path, provider: str
) -> None:
    # the first request that brings so much, whichever that is for this provider
    network.proxy.inject(CutRequest(3 << 20), method="PUT" if provider == "s3" else "POST")
    stored = await network.store.put_file("a", large_file, WEBM)
    assert await network.store.digest("a") == stored.sha256
    sent = sum(request.body_bytes for request in network.proxy.requests)
    assert sent < LARGE + (9 << 20), "not more than a part again"


@ONLY_S3
async def test_progress_counts_a_part_that_was_sent_twice_once(
    network: Network, large_file: Path
) -> None:
    counts: list[int] = []
    network.proxy.inject(CutRequest(4 << 20), method="PUT", containing=PART, times=3)
    await network.store.put_file("a", large_file, WEBM, on_progress=counts.append)
    assert counts == sorted(counts)
    assert counts[-1] == LARGE


@ONLY_S3
async def test_an_upload_that_may_have_begun_is_not_begun_again(
    network: Network, large_file: Path
) -> None:
    network.proxy.inject(LoseAnswer(), method="POST", containing=BEGIN)
    with pytest.raises(StoreUnavailable):
        await network.store.put_file("a", large_file, WEBM)
    assert network.proxy.count("POST", BEGIN) == 1
    assert await keys(network.store) == []
    # what nobody heard of is left behind, and can be found
    multipart = multipart_of(network.store)
    assert multipart is not None
    (left,) = [upload async for upload in multipart.unfinished()]
    await multipart.abort(left.key, left.upload_id)


@ONLY_S3
@pytest.mark.parametrize("fault", [Answer(503), Answer(429)])
async def test_an_upload_that_certainly_did_not_begin_is_begun_again(
    network: Network, large_file: Path, fault: Fault
) -> None:
    network.proxy.inject(fault, method="POST", containing=BEGIN, times=2)
    await network.store.put_file("a", large_file, WEBM)
    assert network.proxy.count("POST", BEGIN) == 3
    assert await unfinished(network.store) == []


@ONLY_S3
@pytest.mark.parametrize("times", [1, 3])
async def test_a_completion_whose_answer_was_lost_counts(
    network: Network, large_file: Path, times: int
) -> None:
    network.proxy.inject(LoseAnswer(), method="POST", containing="uploadId=", times=times)
    stored = await network.store.put_file("a", large_file, WEBM)
    assert await network.store.digest("a") == stored.sha256
    assert network.proxy.count("POST", "uploadId=") == times + 1
    assert network.proxy.count("DELETE") == 0, "nothing is aborted that was completed"
    assert await unfinished(network.store) == []


@ONLY_S3
async def test_a_blackout_in_the_middle_of_an_upload_costs_only_what_was_under_way(
    network: Network, large_file: Path
) -> None:
    def away(_: int) -> None:
        if not network.time.pauses and not network.proxy.down:
            network.proxy.down = True

    def back() -> None:
        network.proxy.down = False

    network.time.on_pause = back
    stored = await network.store.put_file("a", large_file, WEBM, on_progress=away)
    assert network.time.pauses, "there was a blackout"
    assert await network.store.digest("a") == stored.sha256
    assert network.proxy.count("POST", BEGIN) == 1
    assert network.proxy.count("PUT", PART) <= PARTS + AT_ONCE


@ONLY_S3
async def test_cancelling_while_an_upload_begins_leaves_none(
    network: Network, large_file: Path
) -> None:
    network.proxy.inject(Stall(0.3), method="POST", containing=BEGIN)
    putting = asyncio.ensure_future(network.store.put_file("a", large_file, WEBM))
    await until(lambda: network.proxy.count("POST", BEGIN), within=10, what="it begins")
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await unfinished(network.store) == []
    assert await keys(network.store) == []
