"""RTCP as this server speaks it (RFC 3550, 4585, 5104; REMB: draft-alvestrand-rmcat-remb-03).

Parsing and packing is aiortc's; this module names the few compounds that are sent.
"""

from __future__ import annotations

from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    pack_remb_fci,
)

MAX_REPORTS = 31
"""Report blocks that fit one RR (five bits of count)."""


def parse(data: bytes) -> list[AnyRtcpPacket]:
    """The packets of a compound; unknown types are left out. Raises ValueError."""
    try:
        packets: list[AnyRtcpPacket] = RtcpPacket.parse(data)
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"malformed RTCP: {error}") from error
    return packets


def picture_loss(sender: int, media: int) -> bytes:
    """Picture loss indication (RFC 4585, 6.3.1)."""
    return bytes(RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=sender, media_ssrc=media))


def nack(sender: int, media: int, lost: list[int]) -> bytes:
    """Generic NACK (RFC 4585, 6.2.1) for the sequence numbers `lost`."""
    return bytes(
        RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=sender, media_ssrc=media, lost=sorted(lost))
    )


def receiver_report(
    sender: int, blocks: list[RtcpReceiverInfo], remb_bps: int, remb_ssrcs: list[int]
) -> bytes:
    """Receiver reports for `blocks`, and a REMB of `remb_bps` bit/s when there is any video."""
    data = b"".join(
        bytes(RtcpRrPacket(ssrc=sender, reports=blocks[first : first + MAX_REPORTS]))
        for first in range(0, len(blocks) or 1, MAX_REPORTS)
    )
    if remb_ssrcs:
        fci = pack_remb_fci(remb_bps, remb_ssrcs[:255])
        data += bytes(RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=sender, media_ssrc=0, fci=fci))
    return data


def sender_report(ssrc: int, info: RtcpSenderInfo, cname: str) -> bytes:
    """A sender report followed by the source's CNAME (RFC 3550, 6.1 wants both)."""
    item = RtcpSourceInfo(ssrc=ssrc, items=[(1, cname.encode()[:255])])
    return bytes(RtcpSrPacket(ssrc=ssrc, sender_info=info)) + bytes(RtcpSdesPacket(chunks=[item]))


def requested_keyframes(packet: RtcpPsfbPacket) -> list[int]:
    """Media SSRCs for which a PLI or FIR (RFC 5104, 4.3.1) asks for a keyframe."""
    if packet.fmt == RTCP_PSFB_PLI:
        return [packet.media_ssrc]
    if packet.fmt == RTCP_PSFB_FIR:
        fci = packet.fci
        return [int.from_bytes(fci[at : at + 4], "big") for at in range(0, len(fci) - 7, 8)]
    return []


def is_nack(packet: RtcpRtpfbPacket) -> bool:
    return bool(packet.fmt == RTCP_RTPFB_NACK)


__all__ = [
    "AnyRtcpPacket",
    "RtcpPsfbPacket",
    "RtcpReceiverInfo",
    "RtcpRrPacket",
    "RtcpRtpfbPacket",
    "RtcpSenderInfo",
    "RtcpSrPacket",
    "is_nack",
    "nack",
    "parse",
    "picture_loss",
    "receiver_report",
    "requested_keyframes",
    "sender_report",
]
