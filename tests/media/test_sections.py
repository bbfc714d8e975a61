"""Who uses which media section, and when a peer must offer again."""

from __future__ import annotations

from mediaserver.messages import SectionsNeeded, TrackId, TrackIntent
from mediaserver.sdp.model import Codec, Fingerprint, IceCredentials, Offer, Section
from mediaserver.sections import PeerSections

OPUS = Codec(111, "opus", 48000, 2)
VP8 = Codec(96, "VP8", 90000)
A, B, C = TrackId("TR_a"), TrackId("TR_b"), TrackId("TR_c")


def section(mid: str, kind: str, direction: str, msid: str = "") -> Section:
    return Section(
        mid=mid,
        kind=kind,
        protocol="UDP/TLS/RTP/SAVPF",
        formats=("0",),
        direction=direction,  # type: ignore[arg-type]
        msid=("-", msid) if msid else (),
        codecs=(OPUS if kind == "audio" else VP8,),
    )


def offer(*sections: Section) -> Offer:
    return Offer(
        sections=sections,
        ice=IceCredentials("ufrag", "password"),
        fingerprints=(Fingerprint("sha-256", "AA"),),
        bundled=frozenset(s.mid for s in sections),
    )


def always(_track: TrackId, _section: Section) -> bool:
    return True


def intent(track: TrackId, client_id: str, kind: str = "audio") -> TrackIntent:
    return TrackIntent(track, client_id, kind, f"PA|{track}")  # type: ignore[arg-type]


def test_before_the_first_offer_nothing_is_asked() -> None:
    sections = PeerSections()
    sections.want(A, "audio")
    assert sections.requirement() is None
    placement = sections.apply(offer(section("0", "audio", "recvonly")), always)
    assert placement.attached == {"0": A}
    assert sections.requirement() is None


def test_free_sections_are_used_before_more_are_asked_for() -> None:
    sections = PeerSections()
    sections.apply(offer(section("0", "audio", "recvonly")), always)
    sections.want(A, "audio")
    assert sections.requirement() == SectionsNeeded(0, 0)
    sections.want(B, "audio")
    sections.want(C, "video")
    assert sections.requirement() == SectionsNeeded(audio=1, video=1)
    assert sections.requirement() is None  # asked already


def test_what_does_not_fit_is_asked_for_again_after_the_offer() -> None:
    sections = PeerSections()
    sections.apply(offer(section("0", "application", "sendrecv")), always)
    for track in (A, B):
        sections.want(track, "audio")
    assert sections.requirement() == SectionsNeeded(audio=2)
    placement = sections.apply(offer(section("1", "audio", "recvonly")), always)
    assert placement.attached == {"1": A}
    assert sections.requirement() == SectionsNeeded(audio=1)


def test_a_dropped_track_frees_its_section_for_the_next() -> None:
    sections = PeerSections()
    sections.want(A, "audio")
    free = offer(section("0", "audio", "recvonly"))
    sections.apply(free, always)
    assert sections.drop(A) == "0"
    assert sections.requirement() == SectionsNeeded(0, 0)
    sections.want(B, "audio")
    assert sections.apply(free, always).attached == {"0": B}


def test_a_track_is_published_by_the_id_in_its_msid() -> None:
    sections = PeerSections()
    sections.expect(intent(A, "first"))
    sections.expect(intent(B, "second"))
    placement = sections.apply(offer(section("7", "audio", "sendonly", "second")), always)
    assert [i.track_id for i in placement.published.values()] == [B]
    assert list(sections.intents) == [A]


def test_firefox_invents_msids_so_the_oldest_pending_of_the_kind_is_taken() -> None:
    sections = PeerSections()
    sections.expect(intent(A, "{cid}", "video"))
    sections.expect(intent(B, "{cid2}"))
    placement = sections.apply(offer(section("1", "audio", "sendonly", "{random}")), always)
    assert [i.track_id for i in placement.published.values()] == [B]


def test_an_offer_without_the_pending_track_publishes_nothing() -> None:
    sections = PeerSections()
    sections.expect(intent(A, "cid"))
    placement = sections.apply(offer(section("0", "audio", "recvonly")), always)
    assert not placement.published
    assert A in sections.intents


def test_a_section_offered_before_its_announcement_is_claimed_by_the_next_offer() -> None:
    sections = PeerSections()
    early = offer(section("0", "audio", "sendonly", "cid"))
    assert not sections.apply(early, always).published
    assert sections.expect(intent(A, "cid")) == SectionsNeeded(0, 0)
    assert list(sections.apply(early, always).published) == ["0"]


def test_a_section_that_no_longer_sends_unpublishes() -> None:
    sections = PeerSections()
    sections.expect(intent(A, "cid"))
    sections.apply(offer(section("0", "audio", "sendonly", "cid")), always)
    again = sections.apply(offer(section("0", "audio", "sendonly", "cid")), always)
    assert not again.published
    assert not again.unpublished
    assert sections.apply(offer(section("0", "audio", "recvonly")), always).unpublished == [A]


def test_a_swapped_source_is_the_same_track_but_another_announced_one_is_not() -> None:
    sections = PeerSections()
    sections.expect(intent(A, "cid"))
    sections.apply(offer(section("0", "audio", "sendonly", "cid")), always)
    swapped = sections.apply(offer(section("0", "audio", "sendonly", "other")), always)
    assert not swapped.unpublished
    sections.expect(intent(B, "new"))
    replaced = sections.apply(offer(section("0", "audio", "sendonly", "new")), always)
    assert replaced.unpublished == [A]
    assert [i.track_id for i in replaced.published.values()] == [B]


def test_a_peer_without_the_codec_is_told_and_not_asked_for_ever() -> None:
    sections = PeerSections()
    sections.want(A, "video")
    video = offer(section("0", "video", "recvonly"))
    placement = sections.apply(video, lambda _track, _section: False)
    assert placement.unsupported == [A]
    assert sections.requirement() is None


def test_a_receiving_section_that_goes_away_puts_its_track_back() -> None:
    sections = PeerSections()
    sections.want(A, "audio")
    sections.apply(offer(section("0", "audio", "recvonly")), always)
    placement = sections.apply(offer(section("0", "audio", "inactive")), always)
    assert placement.detached == [A]
    assert sections.requirement() == SectionsNeeded(audio=1)
