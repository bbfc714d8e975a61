"""What a host has set for a room, and where the running server looks it up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field, StrictBool, ValidationError

from recorder.reaper import Limits
from signaling.logs import shown
from signaling.rest.bodies import Body, Layout, Mode, Quality, refusal
from storage.catalog import RoomRepository

log: Final = logging.getLogger(__name__)

LONGEST_MINUTES: Final = 7 * 24 * 60
REMEMBERED: Final = 1000  # rooms


class RoomSettings(Body):
    """With the defaults of a room that nobody has set anything for.

    `access`, `waiting_room` and `recording_access` are kept for the parts that will heed them.
    """

    model_config = ConfigDict(extra="forbid")

    recording_enabled: StrictBool = True
    automatic_recording: StrictBool = False
    max_duration_minutes: int = Field(default=120, ge=1, le=LONGEST_MINUTES, strict=True)
    access: Literal["members", "invite", "open"] = "members"
    waiting_room: StrictBool = False
    recording_access: Literal["members", "host"] = "members"
    recording_mode: Mode = "tracks"
    layout: Layout = "grid"
    quality: Quality = "720p"
    audio_only: StrictBool = False

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True)


class RoomBook:
    """The settings of all rooms. This server is the only one that changes them, so it may remember."""

    def __init__(self, rooms: RoomRepository) -> None:
        self._rooms = rooms
        self._known: dict[str, RoomSettings] = {}
        self._turn = asyncio.Lock()

    async def of(self, room: str) -> RoomSettings:
        """Raises what the catalog raises."""
        if (known := self._known.get(room)) is not None:
            return known
        async with self._turn:
            return self._remember(room, _read(room, await self._rooms.settings(room)))

    async def change(self, room: str, changes: Mapping[str, Any]) -> RoomSettings:
        """`changes` in camelCase; what is not among them stays. Raises InvalidRequest, and what the
        catalog raises; then nothing is changed.
        """
        async with self._turn:
            present = _read(room, await self._rooms.settings(room))
            try:
                changed = RoomSettings.model_validate({**present.to_json(), **changes})
            except ValidationError as error:
                raise refusal(error, "the body", own_codes=True) from None
            await self._rooms.set(room, changed.to_json())
            return self._remember(room, changed)

    def _remember(self, room: str, settings: RoomSettings) -> RoomSettings:
        self._known.pop(room, None)
        self._known[room] = settings
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return settings


def _read(room: str, stored: Mapping[str, Any]) -> RoomSettings:
    """What an older or newer version wrote and this one can't read counts as not set."""
    known = {field.alias for field in RoomSettings.model_fields.values()}
    values = {name: value for name, value in stored.items() if name in known}
    try:
        return RoomSettings.model_validate(values)
    except ValidationError as error:
        wrong = {str(problem["loc"][0]) for problem in error.errors()}
        log.warning("room %s: its settings %s are not understood", shown(room), sorted(wrong))
        kept = {name: value for name, value in values.items() if name not in wrong}
        return RoomSettings.model_validate(kept)


def limits_of(settings: RoomSettings, no_media: timedelta | None) -> Limits:
    return Limits(timedelta(minutes=settings.max_duration_minutes), no_media)
