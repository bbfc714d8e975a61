"""`Answer` -> text (RFC 8866 for the lines, RFC 9429 section 5.3.1 for what an answer holds)."""

from __future__ import annotations

from collections.abc import Iterator

from mediaserver.sdp.model import Answer, AnswerSection, Codec

MAX_MESSAGE_SIZE = 65536
"""Bytes of an SCTP user message (RFC 8841, 6.1); LiveKit clients stay below 64000."""

CANDIDATE_PRIORITY = 2130706431
"""Host candidate, component 1 (RFC 8445, 5.1.2)."""


def render_answer(answer: Answer) -> str:
    return "\r\n".join(_lines(answer)) + "\r\n"


def _lines(answer: Answer) -> Iterator[str]:
    yield "v=0"
    yield f"o=- {answer.session_id} {answer.version} IN IP4 127.0.0.1"
    yield "s=-"
    yield "t=0 0"
    mids = [each.section.mid for each in answer.sections if not each.rejected]
    yield " ".join(["a=group:BUNDLE", *mids])
    yield "a=msid-semantic: WMS *"
    yield "a=ice-lite"
    if answer.allow_mixed_extensions:
        yield "a=extmap-allow-mixed"
    for each in answer.sections:
        yield from _media(answer, each)


def _media(answer: Answer, each: AnswerSection) -> Iterator[str]:
    section = each.section
    if each.rejected:
        formats = " ".join(section.formats) or "0"
        yield f"m={section.kind} 0 {section.protocol} {formats}"
        yield "c=IN IP4 0.0.0.0"
        yield f"a=mid:{section.mid}"
        yield "a=inactive"
        return
    is_data = section.kind == "application"
    formats = (
        "webrtc-datachannel" if is_data else " ".join(str(c.payload_type) for c in each.codecs)
    )
    yield f"m={section.kind} 9 {section.protocol} {formats}"
    yield "c=IN IP4 0.0.0.0"
    yield f"a=ice-ufrag:{answer.ice.ufrag}"
    yield f"a=ice-pwd:{answer.ice.password}"
    yield f"a=fingerprint:{answer.fingerprint.algorithm} {answer.fingerprint.value}"
    yield "a=setup:passive"
    yield f"a=mid:{section.mid}"
    yield from _candidates(answer)
    if is_data:
        yield "a=sctp-port:5000"
        yield f"a=max-message-size:{MAX_MESSAGE_SIZE}"
        return
    yield f"a={each.direction}"
    yield "a=rtcp-mux"
    if section.reduced_size_rtcp:
        yield "a=rtcp-rsize"
    for identifier, uri in each.extensions:
        yield f"a=extmap:{identifier} {uri}"
    for codec in each.codecs:
        yield from _codec(codec)
    yield from _source(each)


def _candidates(answer: Answer) -> Iterator[str]:
    for index, (host, port) in enumerate(answer.candidates):
        priority = CANDIDATE_PRIORITY - (index << 8)
        yield f"a=candidate:{index + 1} 1 udp {priority} {host} {port} typ host"
    yield "a=end-of-candidates"


def _codec(codec: Codec) -> Iterator[str]:
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    yield f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.clock_rate}{channels}"
    for feedback in codec.feedback:
        yield f"a=rtcp-fb:{codec.payload_type} {feedback}"
    if codec.fmtp:
        yield f"a=fmtp:{codec.payload_type} {codec.fmtp}"


def _source(each: AnswerSection) -> Iterator[str]:
    if each.ssrc:
        yield f"a=msid:{each.stream_id} {each.track_id}"
        yield f"a=ssrc:{each.ssrc} cname:{each.cname}"
        yield f"a=ssrc:{each.ssrc} msid:{each.stream_id} {each.track_id}"
    if each.rids:
        for rid in each.rids:
            yield f"a=rid:{rid} recv"
        yield f"a=simulcast:recv {';'.join(each.rids)}"
