"""From an applied offer to tracks and an answer: the part of the SFU that speaks in media sections."""

from __future__ import annotations

from mediaserver.peer import Peer
from mediaserver.plane.streams import Outbound
from mediaserver.sdp import negotiate
from mediaserver.sdp.model import (
    Answer,
    AnswerSection,
    Codec,
    Fingerprint,
    IceCredentials,
    Offer,
    Section,
)
from mediaserver.tracks import DownTrack, UpTrack, new_ssrc

NOTHING: frozenset[str] = frozenset()


def new_up(peer: Peer, section: Section) -> UpTrack | None:
    """The track that `section` now publishes; None when none of its codecs can be forwarded."""
    intent = peer.sections.sending[section.mid]
    codec = negotiate.for_publisher(section, intent.mime_type)
    if codec is None:
        return None
    ids = {uri: number for number, uri in section.extensions}
    forwarded = negotiate.FORWARDED[section.kind]
    return UpTrack(
        intent=intent,
        peer=peer,
        mid=section.mid,
        codec=codec,
        extension_ids=ids,
        kept=frozenset(number for uri, number in ids.items() if uri in forwarded),
        ssrcs=section.ssrcs if not section.rids else (),
        rid=section.rids[-1] if section.rids else "",
    )


def new_down(peer: Peer, up: UpTrack, section: Section) -> DownTrack:
    """A subscription placed into `section`."""
    out = Outbound(peer.link, new_ssrc(), 0, {})
    down = DownTrack(up, peer, section.mid, out, paused=up.track_id in peer.paused)
    out.owner = down
    refresh_down(down, section)
    return down


def refresh_down(down: DownTrack, section: Section) -> None:
    """Take payload type and extension ids from the subscriber's newest offer."""
    codec = negotiate.for_subscriber(section, down.up.codec, section.kind)
    if codec is not None:
        down.out.payload_type = codec.payload_type
    down.remap({uri: number for number, uri in section.extensions})


def answer(
    peer: Peer, offer: Offer, fingerprint: Fingerprint, candidates: tuple[tuple[str, int], ...]
) -> Answer:
    """The answer that describes the peer's state after `offer` was applied."""
    peer.answers += 1
    by_mid = {down.mid: down for down in peer.downs.values()}
    ups = {up.mid: up for up in peer.ups.values()}
    sections = []
    for section in offer.sections:
        if section.rejected or section.mid not in offer.bundled:
            sections.append(AnswerSection(section, rejected=True))
        elif section.kind == "application":
            sections.append(AnswerSection(section))
        elif section.mid in by_mid:
            sections.append(_sending(by_mid[section.mid], section))
        elif section.mid in ups:
            sections.append(_receiving(ups[section.mid], section))
        else:
            sections.append(_unused(section))
    return Answer(
        sections=tuple(sections),
        ice=IceCredentials(peer.ufrag, peer.password),
        fingerprint=fingerprint,
        candidates=candidates,
        allow_mixed_extensions=offer.allow_mixed_extensions,
        session_id=peer.session_id,
        version=peer.answers,
    )


def _sending(down: DownTrack, section: Section) -> AnswerSection:
    codec = negotiate.for_subscriber(section, down.up.codec, section.kind)
    return AnswerSection(
        section,
        direction="sendonly",
        codecs=_one(codec, negotiate.SUBSCRIBER_FEEDBACK),
        extensions=negotiate.extensions(section, negotiate.ACCEPTED[section.kind]),
        stream_id=down.up.intent.stream_id,
        track_id=down.up.track_id,
        ssrc=down.out.ssrc,
        cname=down.up.peer.peer_id,
    )


def _unused(section: Section) -> AnswerSection:
    """No track of either side; rejected when it could never carry one."""
    codecs = tuple(
        negotiate.with_feedback(codec, negotiate.SUBSCRIBER_FEEDBACK)
        for codec in negotiate.usable(section)
    )
    return AnswerSection(
        section,
        codecs=codecs,
        extensions=negotiate.extensions(section, negotiate.ACCEPTED.get(section.kind, NOTHING)),
        rejected=not codecs,
    )


def _receiving(up: UpTrack, section: Section) -> AnswerSection:
    allowed = negotiate.ACCEPTED[section.kind]
    if up.mime_type.lower() != "video/av1":
        allowed -= {negotiate.DEPENDENCY_DESCRIPTOR}
    return AnswerSection(
        section,
        direction="recvonly",
        codecs=_one(up.codec, negotiate.PUBLISHER_FEEDBACK),
        extensions=negotiate.extensions(section, allowed),
        rids=(up.rid,) if up.rid else (),
    )


def _one(codec: Codec | None, feedback: tuple[str, ...]) -> tuple[Codec, ...]:
    return (negotiate.with_feedback(codec, feedback),) if codec is not None else ()
