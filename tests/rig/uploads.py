"""Files as users bring them, and what the media library then has."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.rig.rest import Rest


def write_film(path: Path, *, frames: int = 20, width: int = 640, height: int = 360) -> Path:
    """An MP4 of noise, 10 pictures a second, about 300 kB each."""
    dice = np.random.default_rng(7)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(
            "libx264", rate=10, options={"preset": "ultrafast", "qp": "8"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(frames):
            noise = dice.integers(0, 256, (height, width, 3), dtype=np.uint8)
            picture = av.VideoFrame.from_ndarray(noise, format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


async def assert_in_library(rest: Rest, media_id: str, path: Path) -> dict[str, Any]:
    """The media file, whose bytes are those of `path`. `rest` has its owner's token."""
    media: dict[str, Any] = await rest.get(f"/api/v1/media/media/{media_id}")
    assert media["status"] == "ready", media
    status, _, body = await rest.bytes(f"/api/v1/media/media/{media_id}/file")
    assert status == 200, body[:300]
    assert hashlib.sha256(body).digest() == hashlib.sha256(path.read_bytes()).digest()
    return media
