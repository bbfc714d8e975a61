"""What files made of `001-camera.mp4` are called, beside it. The same file gives the same names."""

from __future__ import annotations

from pathlib import Path


def poster_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}.poster.jpg")


def strip_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}.strip.jpg")


def cues_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}.cues.vtt")


def playlist_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}.m3u8")


def media_of(path: Path) -> Path:
    """The fragmented file that the playlist plays."""
    return path.with_name(f"{path.stem}.hls.mp4")


def track_of(path: Path, kind: str, container: str) -> Path:
    """`kind` is "audio" or "video"."""
    return path.with_name(f"{path.stem}.{kind}.{container}")
