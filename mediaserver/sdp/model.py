"""What this server reads from an offer and writes into an answer (RFC 8866, RFC 9429, RFC 9143)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type: `a=rtpmap`, `a=fmtp` and the `a=rtcp-fb` lines that go with it."""

    payload_type: int
    name: str  # as offered: "VP8", "opus"
    clock_rate: int
    channels: int = 1
    fmtp: str = ""
    feedback: tuple[str, ...] = ()

    def mime(self, kind: str) -> str:
        return f"{kind}/{self.name}"

    def parameters(self) -> dict[str, str]:
        """`a=fmtp` as names and values, names in lower case."""
        pairs = (item.partition("=") for item in self.fmtp.split(";") if item.strip())
        return {name.strip().lower(): value.strip() for name, _, value in pairs}


@dataclass(frozen=True, slots=True)
class IceCredentials:
    ufrag: str
    password: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class Section:
    """One media section of an offer. `mid` is unique; `port` 0 means rejected (unless bundled)."""

    mid: str
    kind: str  # "audio", "video", "application" or something to reject
    protocol: str
    formats: tuple[str, ...]
    direction: Direction = "sendrecv"
    rejected: bool = False
    msid: tuple[str, ...] = ()
    codecs: tuple[Codec, ...] = ()
    extensions: tuple[tuple[int, str], ...] = ()
    ssrcs: tuple[int, ...] = ()  # primary ones, without those of retransmission
    rids: tuple[str, ...] = ()
    reduced_size_rtcp: bool = False
    sctp_port: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    """A session description that can be answered."""

    sections: tuple[Section, ...]
    ice: IceCredentials
    fingerprints: tuple[Fingerprint, ...]
    bundled: frozenset[str]
    allow_mixed_extensions: bool = False


@dataclass(frozen=True, slots=True)
class AnswerSection:
    """The answer to the section at the same place of the offer."""

    section: Section
    direction: Direction = "inactive"
    codecs: tuple[Codec, ...] = ()
    extensions: tuple[tuple[int, str], ...] = ()
    stream_id: str = ""
    track_id: str = ""
    ssrc: int = 0
    cname: str = ""
    rids: tuple[str, ...] = ()
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    sections: tuple[AnswerSection, ...]
    ice: IceCredentials
    fingerprint: Fingerprint
    candidates: tuple[tuple[str, int], ...] = field(default=())
    allow_mixed_extensions: bool = False
    session_id: int = 0
    version: int = 1
