"""Two Chromium pages in a call: each decodes what the other one encodes, in every codec."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.rig.known_content import KnownContentPage, Snapshot, known_content_page
from tests.rig.server import MediaserverProcess
from tests.rig.tokens import participant_token
from tests.rig.waiting import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("server_unharmed"),
]

SECONDS = 6.0


async def enter(
    page: KnownContentPage, server: MediaserverProcess, room: str, identity: str, **options: Any
) -> None:
    await page.join(server.ws_url, participant_token(room, identity), identity, **options)


async def watch(pages: list[KnownContentPage]) -> list[tuple[Snapshot, Snapshot]]:
    """What happened on each page within the same few seconds: (before, after) in its order."""
    before = await asyncio.gather(*(page.snapshot() for page in pages))
    await pages[0].elapse(SECONDS)
    after = await asyncio.gather(*(page.snapshot() for page in pages))
    return list(zip(before, after, strict=True))


def assert_decodes(
    name: str, sender: tuple[Snapshot, Snapshot], receiver: tuple[Snapshot, Snapshot]
) -> None:
    """The receiver got the sender's pictures and sounds, and lost no packet."""
    encoded, decoded, energy_sent, energy_heard = (
        sender[1].sent("video", "framesEncoded") - sender[0].sent("video", "framesEncoded"),
        receiver[1].got("video", "framesDecoded") - receiver[0].got("video", "framesDecoded"),
        sender[1].source["audio"]["totalAudioEnergy"]
        - sender[0].source["audio"]["totalAudioEnergy"],
        receiver[1].got("audio", "totalAudioEnergy") - receiver[0].got("audio", "totalAudioEnergy"),
    )
    said = f"{name}: encoded {encoded}, decoded {decoded}, {receiver[1]}"
    assert encoded >= 0.8 * 30 * SECONDS, said
    assert decoded >= 0.95 * encoded, said
    assert energy_sent > 0, said
    assert energy_heard >= 0.5 * energy_sent, f"{said}, sound {energy_heard} of {energy_sent}"
    assert receiver[1].packets_lost == 0, said


def assert_in_order(numbers: list[int]) -> None:
    assert len(numbers) > 60, f"only {len(numbers)} pictures were shown"
    steps = [later - earlier for earlier, later in itertools.pairwise(numbers)]
    assert min(steps) >= 0, f"a picture came twice or too late: {numbers}"


@pytest.mark.parametrize(
    "codec",
    [
        "vp8",
        pytest.param("h264", marks=pytest.mark.long),
        pytest.param("vp9", marks=pytest.mark.long),
        pytest.param("av1", marks=pytest.mark.long),
    ],
)
async def test_both_pages_see_and_hear_each_other(
    server: MediaserverProcess, browser: Browser, pages_url: str, room: str, codec: str
) -> None:
    async with (
        known_content_page(browser, pages_url) as alice,
        known_content_page(browser, pages_url) as bob,
    ):
        await enter(alice, server, room, "alice", codec=codec)
        await enter(bob, server, room, "bob", codec=codec)
        await asyncio.gather(alice.decoding(), bob.decoding())
        at_alice, at_bob = await watch([alice, bob])
        assert_decodes("alice to bob", at_alice, at_bob)
        assert_decodes("bob to alice", at_bob, at_alice)
        for page, other in ((alice, "bob"), (bob, "alice")):
            assert_in_order(await page.seen(other))
            assert await page.sizes(other) == ["640x360"]
        for snapshot in (at_alice[1], at_bob[1]):
            assert snapshot.got("video", "codec").lower() == f"video/{codec}"
            assert snapshot.got("audio", "codec").lower() == "audio/opus"


async def test_a_client_that_offers_simulcast_is_seen_at_full_size(
    server: MediaserverProcess, browser: Browser, pages_url: str, room: str
) -> None:
    async with (
        known_content_page(browser, pages_url) as alice,
        known_content_page(browser, pages_url) as bob,
    ):
        await enter(alice, server, room, "alice", simulcast=True)
        await enter(bob, server, room, "bob", publish=False)
        await bob.decoding()
        at_alice, at_bob = await watch([alice, bob])
        assert_decodes("alice to bob", at_alice, at_bob)
        assert (await bob.sizes("alice"))[-1] == "640x360"


async def test_chat_and_leaving(
    server: MediaserverProcess, browser: Browser, pages_url: str, room: str
) -> None:
    async with (
        known_content_page(browser, pages_url) as alice,
        known_content_page(browser, pages_url) as bob,
    ):
        await enter(alice, server, room, "alice", publish=False)
        await enter(bob, server, room, "bob", publish=False)
        await alice.say("hello bob")
        await until(bob.messages, within=20, what="bob reads alice's message")
        assert await bob.messages() == [["alice", "hello bob"]]
        await alice.leave()
        await until(
            lambda: bob.page.evaluate("rig.room.remoteParticipants.size === 0"),
            within=20,
            what="bob sees that alice left",
        )
