"""Recordings that are being finished, each in a task of its own, and how far they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from recorder.finishing import Finisher
from recorder.owned_tasks import OwnedTasks
from recorder.progress import Progress


class BeingFinished:
    """`over` hears of each that nobody works on any more, finished or not."""

    def __init__(self, finisher: Finisher, tasks: OwnedTasks, over: Callable[[str], None]) -> None:
        self._finisher = finisher
        self._tasks = tasks
        self._over = over
        self._progress: dict[str, Progress] = {}
        self._died: set[str] = set()  # of a bug, while they were finished

    def __contains__(self, recording_id: str) -> bool:
        return recording_id in self._progress

    def fraction(self, recording_id: str) -> float:
        """How far its present stage is, 0..1."""
        progress = self._progress.get(recording_id)
        return progress.fraction if progress else 0.0

    def shares(self) -> list[str]:
        """How far each is, for people."""
        return [f"{id} ({progress.fraction:.0%})" for id, progress in self._progress.items()]

    def claim(self, recording_id: str, progress: Progress | None = None) -> None:
        """It will `begin`, or is given back with `release`: meanwhile nobody else takes it."""
        self._progress[recording_id] = progress or Progress()

    def release(self, recording_id: str) -> None:
        self._progress.pop(recording_id, None)

    def begin(self, recording_id: str) -> None:
        """In the background; it was claimed."""
        self._tasks.spawn(self._finish(recording_id))

    def begin_found(self, recording_ids: Collection[str]) -> None:
        """Those that nobody works on. One that died of a bug waits for the next start."""
        for recording_id in recording_ids:
            if recording_id not in self and recording_id not in self._died:
                self.claim(recording_id)
                self.begin(recording_id)

    def begin_in_turn(self, recording_ids: Sequence[str]) -> None:
        """One after the other; one that has to wait does not hold up those behind it."""
        for recording_id in recording_ids:
            self.claim(recording_id)
        self._tasks.spawn(self._begin_in_turn(recording_ids))

    async def _begin_in_turn(self, recording_ids: Sequence[str]) -> None:
        """A bug that one recording brings to light does not stop those behind it."""
        for recording_id in recording_ids:
            progress = self._progress[recording_id]
            self.begin(recording_id)
            await progress.let_pass.wait()

    async def _finish(self, recording_id: str) -> None:
        progress = self._progress[recording_id]
        try:
            await self._finisher.finish(recording_id, progress)
        except Exception:
            self._died.add(recording_id)
            raise
        finally:
            progress.let_pass.set()
            self.release(recording_id)
            self._over(recording_id)
