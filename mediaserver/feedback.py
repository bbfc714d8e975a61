"""RTCP in both directions: keyframe requests, retransmissions, reports (RFC 3550, 4585, 5104).

Feedback ends at this server and is spoken anew on the other side: a subscriber's PLI becomes at most
one PLI to the publisher, its NACK is answered from the history, the publisher gets NACKs and
reports for what the server itself received, and sender reports are translated for each subscriber.
"""

from __future__ import annotations

from mediaserver.peer import Peer
from mediaserver.plane.python import PyPlane
from mediaserver.rtp import rtcp
from mediaserver.tracks import UpTrack

REMB_BPS = 10_000_000
"""What publishers are told they may send. Estimating the true downlink is a later step; without
any estimate libwebrtc stays near its start bitrate of 300 kbit/s."""

OPENING_SECONDS = 2.0
OPENING_INTERVAL = 0.04
"""How long and how often a peer that begins to send is told the bandwidth.

libwebrtc picks the size of its first pictures by what it knows then, 300 kbit/s unless it was told
otherwise, and needs ten seconds and more to come back from a small one.
"""

SENDER_REPORT_INTERVAL = 0.2
"""Seconds between two sender reports of a stream that are taken in and passed on."""


def request_keyframe(plane: PyPlane, up: UpTrack, now: float) -> None:
    """Ask the publisher for a keyframe, now or when the quiet time is over."""
    if up.kind == "video" and up.stream is not None and up.keyframes.request(now):
        _send_pli(plane, up)


def _send_pli(plane: PyPlane, up: UpTrack) -> None:
    if up.stream is not None:
        plane.send_rtcp(up.peer.link, rtcp.picture_loss(up.peer.rtcp_ssrc, up.stream.ssrc))


def repair(plane: PyPlane, up: UpTrack, now: float) -> None:
    """Every few milliseconds: ask again for what is missing, and send keyframe requests now due."""
    if up.stream is None:
        return
    if up.nack:
        lost, given_up = up.nack.due(now)
        if lost:
            packet = rtcp.nack(up.peer.rtcp_ssrc, up.stream.ssrc, lost)
            plane.send_rtcp(up.peer.link, packet)
        if given_up:
            request_keyframe(plane, up, now)
    if up.kind == "video" and not up.muted and up.keyframes.due(now):
        _send_pli(plane, up)


def open_bandwidth(plane: PyPlane, peer: Peer, now: float) -> None:
    """Called often: tell a peer that has just begun to send what it may send."""
    if not peer.secure or now > peer.opening_until or now < peer.opening_next:
        return
    peer.opening_next = now + OPENING_INTERVAL
    ssrcs = [ssrc for up in peer.ups.values() if up.kind == "video" for ssrc in up.ssrcs[:1]]
    data = rtcp.receiver_report(peer.rtcp_ssrc, [], REMB_BPS, ssrcs or [peer.rtcp_ssrc])
    plane.send_rtcp(peer.link, data)


def report(plane: PyPlane, peer: Peer, now: float) -> None:
    """Receiver reports on all that a peer sends, and the bandwidth it may use."""
    blocks, videos = [], []
    for up in peer.ups.values():
        stream = up.stream
        if stream is None or not stream.started:
            continue
        blocks.append(
            up.reception.block(
                stream.ssrc,
                stream.first,
                stream.highest,
                stream.packets,
                stream.jitter,
                now,
            )
        )
        if up.kind == "video":
            videos.append(stream.ssrc)
        for out in stream.outs:
            out.map.settle(stream.highest)
    if blocks:
        data = rtcp.receiver_report(peer.rtcp_ssrc, blocks, REMB_BPS, videos)
        plane.send_rtcp(peer.link, data)


def handle(plane: PyPlane, peer: Peer, data: bytes, now: float) -> None:
    """A decrypted RTCP compound from `peer`; malformed ones are dropped."""
    try:
        packets = rtcp.parse(data)
    except ValueError:
        plane.counters.malformed += 1
        return
    for packet in packets:
        if isinstance(packet, rtcp.RtcpSrPacket):
            _sender_report(plane, peer, packet, now)
        elif isinstance(packet, rtcp.RtcpPsfbPacket):
            for ssrc in rtcp.requested_keyframes(packet):
                if down := peer.outs.get(ssrc):
                    request_keyframe(plane, down.up, now)
        elif isinstance(packet, rtcp.RtcpRtpfbPacket) and rtcp.is_nack(packet):
            _retransmit(peer, packet, plane, now)


def _retransmit(peer: Peer, packet: rtcp.RtcpRtpfbPacket, plane: PyPlane, now: float) -> None:
    down = peer.outs.get(packet.media_ssrc)
    if down is None:
        return
    for sequence in {number & 0xFFFF for number in packet.lost}:
        if down.retransmissions.allows(sequence, now):
            plane.retransmit(down.out, sequence)


def _sender_report(plane: PyPlane, peer: Peer, packet: rtcp.RtcpSrPacket, now: float) -> None:
    stream = peer.link.inbounds.get(packet.ssrc)
    up: UpTrack | None = stream.owner if stream is not None else None
    if stream is None or up is None:
        return
    if up.reception.lsr and now - up.reception.lsr_arrival < SENDER_REPORT_INTERVAL:
        return
    info = packet.sender_info
    up.reception.sender_report(info.ntp_timestamp, now)
    for journal in up.journals:
        if not up.muted:
            journal.sender_report(plane.unix_us(now), info.ntp_timestamp, info.rtp_timestamp)
    for out in stream.outs:
        translated = rtcp.RtcpSenderInfo(
            ntp_timestamp=info.ntp_timestamp,
            rtp_timestamp=(info.rtp_timestamp + out.ts_off) & 0xFFFFFFFF,
            packet_count=out.packets & 0xFFFFFFFF,
            octet_count=out.octets & 0xFFFFFFFF,
        )
        plane.send_rtcp(out.link, rtcp.sender_report(out.ssrc, translated, up.peer.peer_id))
