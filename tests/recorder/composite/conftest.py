from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorder.composite.known_films import Stage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Its films are encoded as fast as can be, which changes nothing of what they show."""
    monkeypatch.setattr("recorder.composite.encoder.PRESET", "ultrafast")
    return Stage(tmp_path)


@pytest.fixture
def true_stage(tmp_path: Path) -> Stage:
    """Its films are encoded as everyone's are: with pictures that depend on later ones."""
    return Stage(tmp_path)
