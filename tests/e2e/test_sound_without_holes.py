"""Chromium hears a recording's sound at its time, also where none came.

`decodeAudioData` puts one packet after the other and looks at no times: as players do that skip holes.
"""

from __future__ import annotations

import base64
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.recorder.known_media import KnownTrack, encode_audio, encode_video, video_track
from tests.recorder.test_finalize_content import make, only

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 8
LISTEN = """async ([data, type]) => {
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0))
  const video = document.createElement('video')
  video.src = URL.createObjectURL(new Blob([bytes], {type}))
  video.playbackRate = 4
  await video.play()
  await new Promise((done, fail) => {
    video.onended = done
    video.onerror = () => fail(video.error.message)
  })
  const context = new OfflineAudioContext(1, 48000, 48000)
  const sound = await context.decodeAudioData(bytes.buffer)
  const samples = sound.getChannelData(0)
  const onsets = []
  let quiet = -1
  for (let n = 0; n < samples.length; n++) {
    if (Math.abs(samples[n]) < 0.1) continue
    if (quiet < 0 || n - quiet > 14400) onsets.push(n / 48000)
    quiet = n
  }
  return {duration: video.duration, ended: video.currentTime, heard: sound.duration, onsets}
}"""


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
async def test_what_was_lost_muted_or_never_sent_is_silence(
    browser: Browser, tmp_path: Path, codec: str
) -> None:
    """Nothing before 0.98 s, each 17th packet lost, a pause from 3.1 to 4.9 s, nothing after 7 s."""
    missing = {*range(49), *range(155, 245), *range(350, 400), *range(60, 400, 17)}
    track = KnownTrack("audio", "audio/opus")
    for number, packet in enumerate(encode_audio(float(SECONDS))):
        if number in missing:
            track.sequence += 1
        else:
            track.put(number / 50, packet)
    frames = chain(encode_video(codec), encode_video(codec, first=120))
    file, _ = only(make(tmp_path, [track, video_track(codec, frames=frames)]))
    page = await browser.new_page()
    data = base64.b64encode(file.path.read_bytes()).decode()
    found: dict[str, Any] = await page.evaluate(LISTEN, [data, file.content_type])
    await page.close()
    assert found["duration"] == pytest.approx(SECONDS, abs=0.05)
    assert found["ended"] == pytest.approx(SECONDS, abs=0.1)
    assert found["heard"] == pytest.approx(SECONDS, abs=0.05)
    assert found["onsets"] == pytest.approx([1.006, 2.006, 3.006, 5.006, 6.006], abs=0.02)
