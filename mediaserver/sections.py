"""One peer's media sections: who uses which, and when the peer must offer again. Pure.

The client always offers (LiveKit single peer connection). It brings `recvonly` sections that the
server fills with subscribed tracks, and `sendonly` ones that carry what it publishes. What the
server wants beyond the sections of the last offer it can only ask for:

    want a track     -> ask for as many sections as are short, or for a fresh offer
    drop a track     -> stop sending, and ask for a fresh offer that frees the section
    offer            -> publish what is new, unpublish what is gone, fill free sections, ask for more

One outstanding request is enough until the next offer comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from mediaserver.messages import Kind, SectionsNeeded, TrackId, TrackIntent
from mediaserver.sdp.model import Offer, Section

MEDIA: tuple[Kind, Kind] = ("audio", "video")


@dataclass(frozen=True, slots=True)
class Placement:
    """What the sections of one offer are for after it was applied, keyed by mid."""

    published: dict[str, TrackIntent] = field(default_factory=dict)
    unpublished: list[TrackId] = field(default_factory=list)
    attached: dict[str, TrackId] = field(default_factory=dict)
    detached: list[TrackId] = field(default_factory=list)
    unsupported: list[TrackId] = field(default_factory=list)


@dataclass(slots=True)
class PeerSections:
    """`receiving`: mid -> track sent to the peer; `sending`: mid -> track the peer publishes."""

    receiving: dict[str, TrackId] = field(default_factory=dict)
    sending: dict[str, TrackIntent] = field(default_factory=dict)
    wanted: dict[TrackId, Kind] = field(default_factory=dict)
    intents: dict[TrackId, TrackIntent] = field(default_factory=dict)
    unclaimed: set[str] = field(default_factory=set)
    _kinds: dict[TrackId, Kind] = field(default_factory=dict)
    _msids: dict[str, str] = field(default_factory=dict)
    _free: Counter[str] = field(default_factory=Counter)
    _requested: Counter[str] = field(default_factory=Counter)
    _asked: bool = False
    _stale: bool = False
    _offered: bool = False

    def expect(self, intent: TrackIntent) -> SectionsNeeded | None:
        """The peer announced a track; usually its offer follows by itself."""
        self.intents[intent.track_id] = intent
        if self.unclaimed:
            self._stale = True
        return self.requirement()

    def want(self, track: TrackId, kind: Kind) -> None:
        if track not in self.wanted and track not in self.receiving.values():
            self.wanted[track] = self._kinds[track] = kind

    def drop(self, track: TrackId) -> str | None:
        """The peer no longer gets `track`; the mid it had, if any."""
        self.wanted.pop(track, None)
        self._kinds.pop(track, None)
        for mid, placed in self.receiving.items():
            if placed == track:
                del self.receiving[mid]
                self._stale = True
                return mid
        return None

    def requirement(self) -> SectionsNeeded | None:
        """What to ask the peer for now; None when nothing, or when it was asked already."""
        if not self._offered:
            return None  # its first offer is still to come and will be answered with everything
        waiting = Counter(self.wanted.values())
        short = {
            kind: max(0, waiting[kind] - self._free[kind] - self._requested[kind]) for kind in MEDIA
        }
        if any(short.values()):
            self._requested.update(short)
        elif self._asked or not (self.wanted or self._stale):
            return None
        self._asked = True
        return SectionsNeeded(audio=short["audio"], video=short["video"])

    def apply(self, offer: Offer, supports: Callable[[TrackId, Section], bool]) -> Placement:
        """Take in an offer. `supports` tells whether a section has a codec for a track."""
        self._offered, self._asked, self._stale = True, False, False
        self._requested.clear()
        self.unclaimed.clear()
        placement = Placement()
        present = {section.mid: section for section in offer.sections}
        self._unpublish(present, placement)
        self._publish(offer, placement)
        for mid in [mid for mid in self.receiving if not _receives(present.get(mid))]:
            track = self.receiving.pop(mid)
            self.wanted[track] = self._kinds[track]
            placement.detached.append(track)
        self._attach(offer, supports, placement)
        return placement

    def _unpublish(self, present: dict[str, Section], placement: Placement) -> None:
        for mid, intent in list(self.sending.items()):
            section = present.get(mid)
            replaced = section is not None and self._replaced(section)
            if section is None or not _sends(section) or replaced:
                del self.sending[mid]
                placement.unpublished.append(intent.track_id)

    def _replaced(self, section: Section) -> bool:
        """The section now announces another, pending, track (a bare msid change is the same one)."""
        client_id = section.msid[-1] if section.msid else ""
        return self._msids.get(section.mid) != client_id and any(
            client_id == intent.client_id for intent in self.intents.values()
        )

    def _publish(self, offer: Offer, placement: Placement) -> None:
        for section in offer.sections:
            if section.kind not in MEDIA or not _sends(section) or section.mid in self.sending:
                continue
            intent = self._claim(section)
            if intent is None:
                self.unclaimed.add(section.mid)
                continue
            del self.intents[intent.track_id]
            self.sending[section.mid] = intent
            self._msids[section.mid] = section.msid[-1] if section.msid else ""
            placement.published[section.mid] = intent

    def _claim(self, section: Section) -> TrackIntent | None:
        """By the msid's track id; else the oldest pending of the kind (Firefox invents msids)."""
        fitting = [i for i in self.intents.values() if i.kind == section.kind]
        client_id = section.msid[-1] if section.msid else ""
        exact = (intent for intent in fitting if intent.client_id == client_id)
        return next(exact, fitting[0] if fitting else None)

    def _attach(
        self, offer: Offer, supports: Callable[[TrackId, Section], bool], placement: Placement
    ) -> None:
        self._free.clear()
        for section in offer.sections:
            if section.kind not in MEDIA or section.direction != "recvonly" or section.rejected:
                continue
            if section.mid in self.receiving:
                continue
            track = self._next(section, supports, placement)
            if track is None:
                self._free[section.kind] += 1
                continue
            self.receiving[section.mid] = track
            placement.attached[section.mid] = track

    def _next(
        self,
        section: Section,
        supports: Callable[[TrackId, Section], bool],
        placement: Placement,
    ) -> TrackId | None:
        for track in [t for t, kind in self.wanted.items() if kind == section.kind]:
            del self.wanted[track]
            if supports(track, section):
                return track
            placement.unsupported.append(track)
        return None


def _sends(section: Section) -> bool:
    return not section.rejected and section.direction in ("sendonly", "sendrecv")


def _receives(section: Section | None) -> bool:
    return section is not None and not section.rejected and section.direction == "recvonly"
