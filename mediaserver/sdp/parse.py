"""Offer text -> `Offer`. Any text either parses or raises `BadOffer`, nothing else.

aiortc's parser drops what a forwarding unit has to see (rid, simulcast, extmap-allow-mixed, SSRC
groups), so this reads the lines itself: one handler per attribute, in a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from mediaserver.errors import BadOffer
from mediaserver.sdp.model import Codec, Direction, Fingerprint, IceCredentials, Offer, Section

MAX_SIZE = 256 * 1024
MAX_SECTIONS = 512
MAX_LINE = 8192
MAX_VALUES = 128
"""Codecs, SSRCs, or extensions in a section."""

MAX_FEEDBACK = 16
MAX_SMALL_LISTS = 8
"""Fingerprints, groups, or rids in a section."""

MAX_FMTP = 1024
MAX_MID = 32
MAX_CODECS = 8192
"""Codecs of all sections together: 200 sections of a browser with 40 each."""

_MID = re.compile(r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+")
"""A token of RFC 8866, 9: what may be echoed into an answer."""

DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(slots=True)
class _Codec:
    name: str = ""
    clock_rate: int = 0
    channels: int = 1
    fmtp: str = ""
    feedback: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Scope:
    """Attributes of the session or of one media section while its lines are read."""

    kind: str = ""
    port: int = 0
    protocol: str = ""
    formats: tuple[str, ...] = ()
    mid: str = ""
    direction: str = ""
    ufrag: str = ""
    password: str = ""
    fingerprints: list[Fingerprint] = field(default_factory=list)
    groups: list[list[str]] = field(default_factory=list)
    allow_mixed: bool = False
    bundle_only: bool = False
    rtcp_mux: bool = False
    reduced_size: bool = False
    msid: tuple[str, ...] = ()
    codecs: dict[int, _Codec] = field(default_factory=dict)
    any_feedback: list[str] = field(default_factory=list)
    extensions: list[tuple[int, str]] = field(default_factory=list)
    ssrcs: list[int] = field(default_factory=list)
    repairs: set[int] = field(default_factory=set)
    rids: list[str] = field(default_factory=list)
    sctp_port: int = 0


def _rtpmap(scope: _Scope, value: str) -> None:
    number, _, description = value.partition(" ")
    name, _, rest = description.strip().partition("/")
    rate, _, channels = rest.partition("/")
    codec = scope.codecs.setdefault(_payload_type(number), _Codec())
    codec.name, codec.clock_rate = _token(name), int(rate[:10])
    codec.channels = int(channels[:4]) if channels else 1


def _fmtp(scope: _Scope, value: str) -> None:
    number, _, parameters = value.partition(" ")
    if len(parameters) > MAX_FMTP or not parameters.isascii():
        raise ValueError("fmtp")
    scope.codecs.setdefault(_payload_type(number), _Codec()).fmtp = parameters.strip()


def _rtcp_fb(scope: _Scope, value: str) -> None:
    number, _, feedback = value.partition(" ")
    if number == "*":
        scope.any_feedback.append(feedback.strip())
    else:
        codec = scope.codecs.setdefault(_payload_type(number), _Codec())
        codec.feedback.append(feedback.strip())


def _token(text: str) -> str:
    if len(text) > MAX_MID or not _MID.fullmatch(text):
        raise ValueError("not a short token")
    return text


def _mid(scope: _Scope, value: str) -> None:
    scope.mid = _token(value.strip())


def _payload_type(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 127:
        raise ValueError("payload type")
    return number


def _extmap(scope: _Scope, value: str) -> None:
    number, _, rest = value.partition(" ")
    identifier = int(number.partition("/")[0])
    if 1 <= identifier <= 255 and identifier != 15 and rest:
        scope.extensions.append((identifier, rest.split()[0][:256]))


def _ssrc(scope: _Scope, value: str) -> None:
    ssrc = int(value.partition(" ")[0])
    if not 0 <= ssrc <= 0xFFFFFFFF:
        raise ValueError("SSRC")
    if ssrc not in scope.ssrcs:
        scope.ssrcs.append(ssrc)


def _ssrc_group(scope: _Scope, value: str) -> None:
    semantics, *members = value.split()
    if semantics in ("FID", "FEC-FR", "FEC"):
        scope.repairs.update(int(member) for member in members[1:])


def _fingerprint(scope: _Scope, value: str) -> None:
    algorithm, digest = value.split()
    scope.fingerprints.append(Fingerprint(algorithm.lower(), digest.upper()))


def _rid(scope: _Scope, value: str) -> None:
    words = value.split()
    if words[1] == "send":
        scope.rids.append(_token(words[0]))


def _group(scope: _Scope, value: str) -> None:
    semantics, *members = value.split()
    if semantics == "BUNDLE":
        scope.groups.append(members)


def _text(name: str) -> Callable[[_Scope, str], None]:
    def store(scope: _Scope, value: str) -> None:
        setattr(scope, name, value.strip())

    return store


def _flag(name: str) -> Callable[[_Scope, str], None]:
    def store(scope: _Scope, _value: str) -> None:
        setattr(scope, name, True)

    return store


def _msid(scope: _Scope, value: str) -> None:
    scope.msid = scope.msid or tuple(value.split()[:2])


def _sctp_port(scope: _Scope, value: str) -> None:
    scope.sctp_port = int(value)


ATTRIBUTES: dict[str, Callable[[_Scope, str], None]] = {
    "mid": _mid,
    "ice-ufrag": _text("ufrag"),
    "ice-pwd": _text("password"),
    "fingerprint": _fingerprint,
    "group": _group,
    "extmap-allow-mixed": _flag("allow_mixed"),
    "bundle-only": _flag("bundle_only"),
    "rtcp-mux": _flag("rtcp_mux"),
    "rtcp-rsize": _flag("reduced_size"),
    "msid": _msid,
    "rtpmap": _rtpmap,
    "fmtp": _fmtp,
    "rtcp-fb": _rtcp_fb,
    "extmap": _extmap,
    "ssrc": _ssrc,
    "ssrc-group": _ssrc_group,
    "rid": _rid,
    "sctp-port": _sctp_port,
}


def parse_offer(text: str) -> Offer:
    """Read an offer; raises `BadOffer` saying what is wrong with it."""
    if len(text) > MAX_SIZE:
        raise BadOffer(f"the session description is longer than {MAX_SIZE} characters")
    session, media = _read(text)
    sections = tuple(_section(scope) for scope in media)
    mids = [section.mid for section in sections]
    if sum(len(section.codecs) for section in sections) > MAX_CODECS:
        raise BadOffer(f"there are more than {MAX_CODECS} codecs")
    if len(set(mids)) != len(mids):
        raise BadOffer("two media sections have the same mid")
    bundled = frozenset(session.groups[0]) if session.groups else frozenset()
    transports = [s for s in media if not bundled or s.mid in bundled] or media
    first = next((scope for scope in transports if scope.ufrag), session)
    ufrag, password = first.ufrag or session.ufrag, first.password or session.password
    if len(ufrag) < 4 or len(password) < 22:
        raise BadOffer("ICE credentials (a=ice-ufrag, a=ice-pwd) are missing or too short")
    fingerprints = tuple(first.fingerprints or session.fingerprints)
    if not fingerprints:
        raise BadOffer("a=fingerprint is missing")
    return Offer(
        sections=sections,
        ice=IceCredentials(ufrag, password),
        fingerprints=fingerprints,
        bundled=bundled or frozenset(mids),
        allow_mixed_extensions=session.allow_mixed,
    )


def _read(text: str) -> tuple[_Scope, list[_Scope]]:
    session = scope = _Scope()
    media: list[_Scope] = []
    lines = text.splitlines()
    if not lines or lines[0].strip() != "v=0":
        raise BadOffer("a session description starts with v=0")
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            raise BadOffer(f"line {number} is longer than {MAX_LINE} characters")
        kind, _, value = line.strip().partition("=")
        try:
            if kind == "m":
                scope = _media(value)
                media.append(scope)
            elif kind == "a":
                _attribute(scope, value)
        except (ValueError, IndexError) as error:
            raise BadOffer(f"line {number} can't be read: {line[:80]!r}") from error
    if not media:
        raise BadOffer("there is no media section")
    if len(media) > MAX_SECTIONS:
        raise BadOffer(f"there are more than {MAX_SECTIONS} media sections")
    return session, media


def _media(value: str) -> _Scope:
    kind, port, protocol, *formats = value.split()
    return _Scope(
        kind=kind,
        port=int(port.partition("/")[0]),
        protocol=protocol,
        formats=tuple(dict.fromkeys(formats))[:MAX_VALUES],
    )


def _attribute(scope: _Scope, text: str) -> None:
    name, _, value = text.partition(":")
    if name in DIRECTIONS:
        scope.direction = name
    elif handler := ATTRIBUTES.get(name):
        handler(scope, value)
        _bound(scope)


def _bound(scope: _Scope) -> None:
    """Refuse a section that grows beyond what any client sends."""
    large = max(len(scope.codecs), len(scope.ssrcs), len(scope.extensions), len(scope.repairs))
    small = max(len(scope.fingerprints), len(scope.groups), len(scope.rids))
    if large > MAX_VALUES or small > MAX_SMALL_LISTS or len(scope.any_feedback) > MAX_FEEDBACK:
        raise ValueError("too many lines of one kind")


def _section(scope: _Scope) -> Section:
    if not scope.mid:
        raise BadOffer("a media section has no a=mid")
    is_media = scope.kind in ("audio", "video")
    if is_media and not scope.rtcp_mux and (scope.port or scope.bundle_only):
        raise BadOffer(f"media section {scope.mid} lacks a=rtcp-mux")
    return Section(
        mid=scope.mid,
        kind=scope.kind,
        protocol=scope.protocol,
        formats=scope.formats,
        direction=cast(Direction, scope.direction or "sendrecv"),
        rejected=scope.port == 0 and not scope.bundle_only,
        msid=scope.msid,
        codecs=_codecs(scope),
        extensions=tuple(scope.extensions),
        ssrcs=tuple(ssrc for ssrc in scope.ssrcs if ssrc not in scope.repairs),
        rids=tuple(scope.rids),
        reduced_size_rtcp=scope.reduced_size,
        sctp_port=scope.sctp_port,
    )


def _codecs(scope: _Scope) -> tuple[Codec, ...]:
    """Codecs in the order of the m-line, which is the offerer's preference."""
    if scope.kind not in ("audio", "video"):
        return ()
    ordered = []
    for text in scope.formats:
        codec = scope.codecs.get(int(text)) if text.isascii() and text.isdigit() else None
        if codec and codec.name:
            ordered.append(
                Codec(
                    payload_type=int(text),
                    name=codec.name,
                    clock_rate=codec.clock_rate,
                    channels=codec.channels,
                    fmtp=codec.fmtp,
                    feedback=(*codec.feedback[:MAX_FEEDBACK], *scope.any_feedback),
                )
            )
    return tuple(ordered)
