"""Which codecs, feedback and header extensions an answer picks from an offer's section."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mediaserver.sdp.model import Codec, Offer, Section

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
DEPENDENCY_DESCRIPTOR = (
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
)

FORWARDED = {
    "audio": frozenset({AUDIO_LEVEL, ABS_CAPTURE_TIME}),
    "video": frozenset({ABS_CAPTURE_TIME, DEPENDENCY_DESCRIPTOR}),
}
"""Extensions that make sense to a subscriber; all others end at this server.

abs-send-time and transport-wide-cc are left out on purpose: bandwidth is steered by REMB, and
without them libwebrtc does not send padding to probe. video-orientation is left out so that senders
rotate the picture themselves: then recordings and every receiver see it upright.
"""

ACCEPTED = {kind: uris | {MID, RID} for kind, uris in FORWARDED.items()}
"""Extensions in answers, also of inactive sections: what an answer leaves out, Chromium no longer
offers in sections that it adds later, and simulcast without rid fails."""

PUBLISHER_FEEDBACK = ("nack", "nack pli", "ccm fir", "goog-remb")
SUBSCRIBER_FEEDBACK = ("nack", "nack pli", "ccm fir")


VIDEO_CLOCK = 90000


def _h264(codec: Codec) -> bool:
    return (
        codec.clock_rate == VIDEO_CLOCK and codec.parameters().get("packetization-mode", "0") == "1"
    )


def _profile_0(name: str) -> Callable[[Codec], bool]:
    return lambda codec: (
        codec.clock_rate == VIDEO_CLOCK and codec.parameters().get(name, "0") == "0"
    )


USABLE: dict[str, Callable[[Codec], bool]] = {
    "audio/opus": lambda codec: codec.clock_rate == 48000 and codec.channels in (1, 2),
    "video/vp8": lambda codec: codec.clock_rate == VIDEO_CLOCK,
    "video/h264": _h264,
    "video/vp9": _profile_0("profile-id"),
    "video/av1": _profile_0("profile"),
}
"""Codecs that are forwarded, and which variants of them."""


def usable(section: Section) -> list[Codec]:
    """The section's codecs that this server forwards, in the offerer's order."""
    return [
        codec
        for codec in section.codecs
        if (check := USABLE.get(codec.mime(section.kind).lower())) and check(codec)
    ]


def for_publisher(section: Section, preferred: str) -> Codec | None:
    """The one codec this publisher shall send: `preferred` (a mime type) if offered, else its first."""
    codecs = usable(section)
    for codec in codecs:
        if codec.mime(section.kind).lower() == preferred.lower():
            return codec
    return codecs[0] if codecs else None


def for_subscriber(section: Section, source: Codec, kind: str) -> Codec | None:
    """The subscriber's payload type for what the publisher sends, or None if it can't receive it."""
    same = [c for c in usable(section) if c.mime(kind).lower() == source.mime(kind).lower()]
    exact = [c for c in same if _profile(c) == _profile(source)]
    return next(iter(exact or same), None)


def _profile(codec: Codec) -> str:
    """H.264: profile_idc and constraints without the level (RFC 6184, 8.1); other codecs: ""."""
    return codec.parameters().get("profile-level-id", "")[:4].lower()


def with_feedback(codec: Codec, allowed: tuple[str, ...]) -> Codec:
    return replace(codec, feedback=tuple(f for f in allowed if f in codec.feedback))


def reduced(offer: Offer) -> Offer:
    """The offer without what no answer will speak of; it is all that crosses to the worker."""
    return replace(offer, sections=tuple(_reduced(section) for section in offer.sections))


def _reduced(section: Section) -> Section:
    allowed = ACCEPTED.get(section.kind, frozenset())
    return replace(
        section,
        codecs=tuple(usable(section)),
        extensions=extensions(section, allowed),
        formats=section.formats[:1],
        ssrcs=section.ssrcs[:4],
    )


def extensions(section: Section, allowed: frozenset[str]) -> tuple[tuple[int, str], ...]:
    """The offered header extensions that are accepted, each with the offerer's id."""
    return tuple((number, uri) for number, uri in section.extensions if uri in allowed)
