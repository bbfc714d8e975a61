"""A browser page that sends known pictures and sounds (`pages/known_content.js` says which)."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from tests.rig.browser import faults_of, visitor
from tests.rig.waiting import until

Numbers = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at getStats: by direction, then by kind ("audio", "video"), then the field's sum.

    `at` is the page's clock in seconds; `drawn` counts the pictures handed to the encoder.
    """

    at: float
    drawn: int
    outbound: Numbers
    inbound: Numbers
    source: Numbers
    remote: Numbers

    def sent(self, kind: str, field: str) -> Any:
        return self.outbound.get(kind, {}).get(field, 0)

    def got(self, kind: str, field: str) -> Any:
        return self.inbound.get(kind, {}).get(field, 0)

    @property
    def packets_lost(self) -> int:
        """Packets missing in either direction, as this page and as its far end count them."""
        sides = (*self.inbound.values(), *self.remote.values())
        return sum(int(side["packetsLost"]) for side in sides)


class KnownContentPage:
    """A page whose pictures carry their number; it may join a call, or talk to itself."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults = faults_of(page)
        self.identity = ""

    async def join(
        self,
        ws_url: str,
        token: str,
        identity: str,
        *,
        codec: str = "vp8",
        simulcast: bool = False,
        publish: bool = True,
    ) -> None:
        """Connect and, unless told not to, publish pictures and beeps."""
        self.identity = identity
        options = {"codec": codec, "simulcast": simulcast, "publish": publish}
        await self.page.evaluate(
            "([url, token, options]) => rig.join(url, token, options)", [ws_url, token, options]
        )

    async def leave(self) -> None:
        await self.page.evaluate("rig.room.disconnect()")

    async def loopback(self) -> None:
        """Send to a second connection inside the page, without any server."""
        await self.page.evaluate("rig.loopback()")

    async def snapshot(self) -> Snapshot:
        return Snapshot(**await self.page.evaluate("rig.stats()"))

    async def decoding(self, *, frames: int = 15, within: float = 15) -> Snapshot:
        """Wait until remote video and audio are being decoded."""

        async def probe() -> Snapshot | None:
            last.append(await self.snapshot())
            flows = (
                last[-1].got("video", "framesDecoded") >= frames
                and last[-1].got("audio", "packetsReceived") > 0
            )
            return last[-1] if flows else None

        last: list[Snapshot] = []
        try:
            await until(probe, within=within, every=0.1, what=f"{self.identity} decodes")
            return last[-1]
        except AssertionError:
            raise AssertionError(
                f"{self.identity} decoded too little in {within:g} s: {last[-1]}, "
                f"events {await self.page.evaluate('rig.events')}, faults {self.faults}"
            ) from None

    async def elapse(self, seconds: float) -> None:
        """Let the page's own media clock run on."""
        await self.page.evaluate("(seconds) => rig.content.elapse(seconds)", seconds)

    async def drawn(self) -> list[int]:
        """The numbers of all pictures handed to the encoder so far, in order."""
        numbers: list[int] = await self.page.evaluate("rig.content.drawn")
        return numbers

    async def seen(self, identity: str) -> list[int]:
        """Picture numbers read off the remote video as it was shown (a sample, in order)."""
        numbers: list[int] = await self.page.evaluate(
            "(who) => rig.watchers[who]?.seen ?? []", identity
        )
        return numbers

    async def sizes(self, identity: str) -> list[str]:
        sizes: list[str] = await self.page.evaluate(
            "(who) => rig.watchers[who]?.sizes ?? []", identity
        )
        return sizes

    async def say(self, text: str) -> None:
        await self.page.evaluate(
            "(text) => rig.room.localParticipant.publishData(new TextEncoder().encode(text),"
            " { reliable: true })",
            text,
        )

    async def messages(self) -> list[list[str]]:
        found: list[list[str]] = await self.page.evaluate("rig.messages")
        return found

    async def events(self) -> list[str]:
        found: list[str] = await self.page.evaluate("rig.events")
        return found

    async def start_local_file(self) -> None:
        """Let the browser's own MediaRecorder write down the same pictures and sounds."""
        await self.page.evaluate("rig.startLocalFile()")

    async def stop_local_file(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(await self.page.evaluate("rig.stopLocalFile()")))
        return path


@contextlib.asynccontextmanager
async def known_content_page(browser: Browser, pages_url: str) -> AsyncIterator[KnownContentPage]:
    """A page of its own profile that is already drawing and beeping."""
    async with visitor(browser) as context:
        page = await context.new_page()
        known = KnownContentPage(page)
        await page.goto(f"{pages_url}/known_content.html")
        await page.evaluate("rig.prepare()")
        yield known
        assert not known.faults, known.faults
