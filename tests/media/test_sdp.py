"""Offers of real clients, broken ones, and the answers."""

from __future__ import annotations

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.errors import BadOffer
from mediaserver.sdp import negotiate
from mediaserver.sdp.model import Answer, AnswerSection, Fingerprint, IceCredentials
from mediaserver.sdp.parse import parse_offer
from mediaserver.sdp.render import render_answer

CHROMIUM = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111 63
c=IN IP4 0.0.0.0
a=ice-ufrag:Ab3d
a=ice-pwd:0123456789012345678901
a=ice-options:trickle
a=fingerprint:sha-256 aa:bb
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:4/recvonly urn:ietf:params:rtp-hdrext:sdes:mid
a=recvonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103
c=IN IP4 0.0.0.0
a=mid:1
a=sendonly
a=msid:- cid-1
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:* nack
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f
a=rtpmap:103 H264/90000
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=ssrc-group:FID 11 22
a=ssrc:11 cname:x
a=ssrc:22 cname:x
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:2
a=sctp-port:5000
"""


def test_what_is_read_from_an_offer() -> None:
    offer = parse_offer(CHROMIUM)
    audio, video, data = offer.sections
    assert offer.ice == IceCredentials("Ab3d", "0123456789012345678901")
    assert offer.fingerprints == (Fingerprint("sha-256", "AA:BB"),)
    assert offer.bundled == {"0", "1", "2"}
    assert offer.allow_mixed_extensions
    assert audio.direction == "recvonly"
    assert dict(audio.extensions)[4] == negotiate.MID
    assert (video.direction, video.msid, video.ssrcs) == ("sendonly", ("-", "cid-1"), (11,))
    assert video.reduced_size_rtcp
    assert next(c.mime("video") for c in video.codecs) == "video/VP8"
    assert data.sctp_port == 5000


def test_codecs_are_picked_by_what_is_forwarded_and_preferred() -> None:
    video = parse_offer(CHROMIUM).sections[1]
    assert [c.payload_type for c in negotiate.usable(video)] == [96, 103]
    assert negotiate.for_publisher(video, "").payload_type == 96  # type: ignore[union-attr]
    assert negotiate.for_publisher(video, "video/h264").payload_type == 103  # type: ignore[union-attr]
    assert negotiate.for_publisher(video, "video/av1").payload_type == 96  # type: ignore[union-attr]
    vp8 = negotiate.usable(video)[0]
    assert negotiate.with_feedback(vp8, negotiate.PUBLISHER_FEEDBACK).feedback == (
        "nack",
        "nack pli",
        "goog-remb",
    )


def test_the_answer_is_one_that_another_implementation_reads() -> None:
    offer = parse_offer(CHROMIUM)
    audio, video, data = offer.sections
    answer = Answer(
        sections=(
            AnswerSection(
                audio,
                direction="sendonly",
                codecs=tuple(negotiate.usable(audio)),
                extensions=negotiate.extensions(audio, negotiate.FORWARDED["audio"]),
                stream_id="PA_x|TR_y",
                track_id="TR_y",
                ssrc=99,
                cname="PA_x",
            ),
            AnswerSection(video, rejected=True),
            AnswerSection(data),
        ),
        ice=IceCredentials("server", "s" * 32),
        fingerprint=Fingerprint("sha-256", "CC:DD"),
        candidates=(("127.0.0.1", 7882), ("192.0.2.1", 7882)),
        allow_mixed_extensions=True,
    )
    text = render_answer(answer)
    parsed = SessionDescription.parse(text)
    assert [m.kind for m in parsed.media] == ["audio", "video", "application"]
    assert [m.port for m in parsed.media] == [9, 0, 9]
    assert parsed.group[0].items == ["0", "2"]
    sound = parsed.media[0]
    assert sound.direction == "sendonly"
    assert sound.ssrc[0].ssrc == 99
    assert sound.msid == "PA_x|TR_y TR_y"
    assert [c.ip for c in sound.ice_candidates] == ["127.0.0.1", "192.0.2.1"]
    assert sound.dtls is not None
    assert sound.dtls.role == "server"
    assert [e.id for e in sound.rtp.headerExtensions] == [1]
    assert "a=ice-lite\r\n" in text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("a=ice-pwd:0123456789012345678901\n", ""), "ICE credentials"),
        (("a=fingerprint:sha-256 aa:bb\n", ""), "a=fingerprint"),
        (("a=mid:1\n", "a=mid:0\n"), "same mid"),
        (("a=mid:1\n", ""), "no a=mid"),
        (("v=0\n", "v=1\n"), "v=0"),
        (("a=rtpmap:96 VP8/90000", "a=rtpmap:x VP8/90000"), "line 31"),
        (("a=rtpmap:96 VP8/90000", "a=rtpmap:300 VP8/90000"), "line 31"),
        (("m=application 9", "m=application"), "line"),
        (("a=recvonly\na=rtcp-mux\n", "a=recvonly\n"), "a=rtcp-mux"),
    ],
)
def test_a_broken_offer_is_refused_with_the_reason(change: tuple[str, str], reason: str) -> None:
    assert change[0] in CHROMIUM
    with pytest.raises(BadOffer, match=reason):
        parse_offer(CHROMIUM.replace(*change))


def test_too_many_codecs_are_refused_instead_of_kept() -> None:
    many = "".join(f"a=extmap:{n % 14 + 1} urn:x{n}\n" for n in range(1000))
    with pytest.raises(BadOffer):
        parse_offer(CHROMIUM.replace("a=recvonly\n", "a=recvonly\n" + many))
    with pytest.raises(BadOffer, match="longer than"):
        parse_offer(CHROMIUM + "a=x:\n" * 100_000)


def test_cut_at_every_line_it_parses_or_is_a_bad_offer() -> None:
    lines = CHROMIUM.splitlines(keepends=True)
    for count in range(len(lines)):
        try:
            parse_offer("".join(lines[:count]))
        except BadOffer:
            continue


@given(st.text(max_size=200), st.integers(0, len(CHROMIUM)), st.integers(0, len(CHROMIUM)))
def test_any_text_parses_or_is_a_bad_offer(text: str, start: int, end: int) -> None:
    for candidate in (text, CHROMIUM[:start] + text + CHROMIUM[end:]):
        try:
            parse_offer(candidate)
        except BadOffer:
            continue
