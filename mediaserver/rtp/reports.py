"""Reception statistics of one stream, as receiver reports want them (RFC 3550, 6.4.1, A.3)."""

from __future__ import annotations

from dataclasses import dataclass

from mediaserver.rtp.rtcp import RtcpReceiverInfo


@dataclass(slots=True)
class ReceptionState:
    """What the last report said, so that the next one can tell the difference.

    `extended` is the extended highest sequence number at that time, `base` the first one received.
    """

    base: int = 0
    extended: int = 0
    started: bool = False
    expected_prior: int = 0
    received_prior: int = 0
    lsr: int = 0  # middle 32 bits of the last sender report's NTP timestamp
    lsr_arrival: float = 0.0

    def sender_report(self, ntp: int, now: float) -> None:
        """A sender report with the 64-bit `ntp` came at `now` seconds (monotonic)."""
        self.lsr = (ntp >> 16) & 0xFFFFFFFF
        self.lsr_arrival = now

    def block(
        self, ssrc: int, first: int, highest: int, received: int, jitter: float, now: float
    ) -> RtcpReceiverInfo:
        """The report block. `first`, `highest`: 16-bit sequence numbers; `jitter` in clock ticks.

        To be called at least every 32767 packets, or the extended sequence number loses a cycle.
        """
        if not self.started:
            self.base = self.extended = first
            self.started = True
        self.extended += (highest - self.extended) & 0xFFFF
        expected = self.extended - self.base + 1
        lost = max(0, expected - received)
        interval = expected - self.expected_prior
        interval_lost = interval - (received - self.received_prior)
        self.expected_prior, self.received_prior = expected, received
        fraction = 0
        if interval > 0 and interval_lost > 0:
            fraction = min(255, (interval_lost << 8) // interval)
        delay = 0
        if self.lsr:
            delay = min(int((now - self.lsr_arrival) * 65536), 0xFFFFFFFF)
        return RtcpReceiverInfo(
            ssrc=ssrc,
            fraction_lost=fraction,
            packets_lost=min(lost, 0x7FFFFF),
            highest_sequence=self.extended & 0xFFFFFFFF,
            jitter=min(int(jitter), 0xFFFFFFFF),
            lsr=self.lsr,
            dlsr=delay,
        )
