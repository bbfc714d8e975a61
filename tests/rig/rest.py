"""The REST interface as an embedding application calls it."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.rig.waiting import until

FINAL = {"recorded", "failed"}


class Refused(Exception):
    """An answer with `success: false`."""

    def __init__(self, status: int, code: str, message: str, details: Any) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.details = details


class Rest:
    """Calls with one token (or none); answers are unwrapped, refusals raised."""

    def __init__(self, base_url: str, token: str | None = None) -> None:
        self.base_url = base_url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            headers=self._headers, timeout=aiohttp.ClientTimeout(total=30)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()

    async def call(
        self, method: str, path: str, body: Any = None, params: Mapping[str, str] | None = None
    ) -> Any:
        """The `data` of the answer. Raises `Refused`; asserts the envelope's shape."""
        async with self._http.request(
            method, self.base_url + path, json=body, params=params
        ) as answer:
            envelope = await answer.json()
            if envelope["success"]:
                assert answer.status < 400, envelope
                return envelope["data"]
            error = envelope["error"]
            assert answer.status >= 400, envelope
            raise Refused(answer.status, error["code"], error["message"], error.get("details"))

    async def get(self, path: str, **params: str) -> Any:
        return await self.call("GET", path, params=params)

    async def post(self, path: str, body: Any = None) -> Any:
        return await self.call("POST", path, body)

    async def delete(self, path: str) -> Any:
        return await self.call("DELETE", path)

    async def bytes(
        self, url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of anything that is not the envelope. `url` may be a path."""
        target = url if url.startswith("http") else self.base_url + url
        async with self._http.request(method, target, headers=headers) as answer:
            return answer.status, answer.headers, await answer.read()

    async def start_recording(self, room: str) -> str:
        """Start, and wait until the server says that media is on disk. Returns the id."""
        started = await self.post(f"/api/v1/rooms/{room}/recording/start", {"mode": "tracks"})
        recording = str(started["recordingId"])
        await self.recording_in(recording, {"recording"}, within=30)
        return recording

    async def stop_recording(self, room: str, *, within: float = 60) -> dict[str, Any]:
        """Stop, and wait for the end of the work. Returns the recording, which is `recorded`."""
        stopped = await self.post(f"/api/v1/rooms/{room}/recording/stop")
        return await self.recorded(stopped["recordingId"], within=within)

    async def recorded(self, recording: str, *, within: float = 60) -> dict[str, Any]:
        found = await self.recording_in(recording, FINAL, within=within)
        assert found["status"] == "recorded", found
        return found

    async def recording_in(
        self, recording: str, statuses: set[str], *, within: float
    ) -> dict[str, Any]:
        async def probe() -> dict[str, Any] | None:
            found: dict[str, Any] = await self.get(f"/api/v1/recordings/{recording}")
            seen.append(found["status"])
            return found if found["status"] in statuses else None

        seen: list[str] = []
        try:
            found: dict[str, Any] = await until(
                probe, within=within, every=0.2, what=f"{recording} in {statuses}"
            )
            return found
        except AssertionError as late:
            raise AssertionError(f"{late}; statuses seen: {list(dict.fromkeys(seen))}") from None


def originals(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A recording's files without what was made of them (pictures, playlists)."""
    return [file for file in row["files"] if file["kind"] == "participant"]
