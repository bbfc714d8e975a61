"""What may be uploaded, told before a file is chosen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.signaling.uploading import Uploader, uploading
from tests.storage.stores import Servers


@pytest.fixture
async def here(servers: Servers, tmp_path: Path) -> AsyncIterator[Uploader]:
    async with uploading(
        servers,
        tmp_path,
        max_video_size_mb="20",
        max_concurrent_uploads="2",
        allowed_video_formats="mp4,webm",
    ) as uploader:
        yield uploader


async def test_the_limits_are_those_of_the_settings(here: Uploader) -> None:
    assert (await here.call("GET", "/limits")).data == {
        "largestBytes": 20 << 20,
        "formats": ["mp4", "webm"],
        "atOnce": 2,
        "timeoutSeconds": 3600,
    }


async def test_they_are_told_to_those_who_may_upload(here: Uploader) -> None:
    path = "/api/v1/media/upload/limits"
    assert (await here.home.request("GET", path, None)).status == 401
    refused = await here.home.request("GET", path, here.home.server())
    assert (refused.status, refused.code) == (403, "identity_needed")
