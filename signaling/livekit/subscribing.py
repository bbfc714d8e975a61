"""Who receives which track: wishes, permissions, settings.

A subscription is placed when the subscriber wants the track (it said so, or subscribes to
everything), may receive media at all, sees the publisher, and the publisher's rules allow it.
`Participant.subscribed` is what the media plane has been told; it follows from those four.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from livekit.protocol import rtc

from mediaserver.messages import TrackId
from signaling.livekit import responses
from signaling.livekit.effects import Effect, PauseSubscription, Send, Subscribe, Unsubscribe
from signaling.livekit.limits import MAX_PERMISSION_RULES, MAX_WISHES
from signaling.livekit.participant import AccessRule, Audience, Participant, Wish
from signaling.livekit.room_state import Origin, RoomState, tell_of_tracks

# --- keeping subscriptions true -------------------------------------------------------------------


def offer_tracks(
    room: RoomState, publisher: Participant, tracks: Sequence[TrackId]
) -> list[Effect]:
    """Freshly published tracks, to everybody who wants them."""
    if not tracks:
        return []
    effects: list[Effect] = []
    for other in room.others(publisher):
        effects += reconcile(other, publisher, tracks)
    return effects


def subscribe_to_existing(room: RoomState, newcomer: Participant) -> list[Effect]:
    effects: list[Effect] = []
    for publisher in room.others(newcomer):
        effects += reconcile(newcomer, publisher, tuple(publisher.tracks))
    return merge(effects)


def reconcile(
    subscriber: Participant, publisher: Participant, tracks: Iterable[TrackId]
) -> list[Effect]:
    """Place and end subscriptions to these tracks of one publisher, as they now should be."""
    effects: list[Effect] = []
    starting: list[TrackId] = []
    ending: list[TrackId] = []
    for sid in tracks:
        if sid in subscriber.wishes:
            subscriber.wishes[sid].missing_until = None
        wanted = subscriber.wants(sid) and not publisher.hidden
        allowed = subscriber.grants.can_subscribe and publisher.audience.allows(subscriber, sid)
        effects += _tell_permission(subscriber, publisher, sid, wanted=wanted, allowed=allowed)
        if wanted and allowed and sid not in subscriber.subscribed:
            starting.append(sid)
        elif not (wanted and allowed) and sid in subscriber.subscribed:
            ending.append(sid)
    subscriber.subscribed.update(starting)
    subscriber.subscribed.difference_update(ending)
    if ending:
        effects.append(Unsubscribe(subscriber.sid, tuple(ending)))
    if starting:
        effects.append(Subscribe(subscriber.sid, tuple(starting)))
    effects += [
        PauseSubscription(subscriber.sid, sid, True)
        for sid in starting
        if sid in subscriber.wishes and subscriber.wishes[sid].disabled
    ]
    return effects


def forget_track(room: RoomState, sid: TrackId) -> None:
    """A track ended; the media plane has detached its subscribers by itself."""
    for one in room.participants.values():
        one.subscribed.discard(sid)
        one.refused.discard(sid)
        one.unsupported.discard(sid)
        one.wishes.pop(sid, None)


def merge(effects: Iterable[Effect]) -> list[Effect]:
    """One command for all subscriptions of a participant, so that they cost one requirement.

    Subscriptions move to the place of the participant's first one; pauses stay behind them.
    """
    merged: list[Effect] = []
    places: dict[str, int] = {}
    for effect in effects:
        if isinstance(effect, Subscribe) and effect.peer in places:
            place = places[effect.peer]
            first = merged[place]
            assert isinstance(first, Subscribe)
            merged[place] = Subscribe(effect.peer, first.tracks + effect.tracks)
            continue
        if isinstance(effect, Subscribe):
            places[effect.peer] = len(merged)
        merged.append(effect)
    return merged


def _tell_permission(
    subscriber: Participant, publisher: Participant, sid: TrackId, *, wanted: bool, allowed: bool
) -> list[Effect]:
    """Say once that a wanted track is not allowed, and once that it is again."""
    if wanted and not allowed and sid not in subscriber.refused:
        subscriber.refused.add(sid)
    elif allowed and sid in subscriber.refused:
        subscriber.refused.discard(sid)
    else:
        return []
    message = responses.subscription_allowed(publisher.sid, sid, allowed=allowed)
    return [*tell_of_tracks(subscriber, publisher), Send((subscriber.sid,), message)]


# --- what subscribers say -------------------------------------------------------------------------


def subscription(origin: Origin, request: rtc.UpdateSubscription) -> list[Effect]:
    named = [*request.track_sids]
    for entry in request.participant_tracks:
        named += entry.track_sids
    effects: list[Effect] = []
    for sid, wish in _wishes(origin, named):
        wish.subscribe = request.subscribe
        publisher = origin.room.owner(sid)
        if publisher is not None and publisher is not origin.one:
            effects += reconcile(origin.one, publisher, (sid,))
    return merge(effects)


def settings(origin: Origin, request: rtc.UpdateTrackSettings) -> list[Effect]:
    """`disabled` pauses forwarding; the latest word counts, even before the track exists."""
    effects: list[Effect] = []
    for sid, wish in _wishes(origin, request.track_sids):
        changed = wish.disabled != request.disabled
        wish.disabled = request.disabled
        if changed and sid in origin.one.subscribed:
            effects.append(PauseSubscription(origin.one.sid, sid, request.disabled))
    return effects


def _wishes(origin: Origin, named: Iterable[str]) -> Iterator[tuple[TrackId, Wish]]:
    """A place for what is said about each named track; about too many nothing more is kept."""
    one, patience = origin.one, origin.room.limits.wish_patience
    for sid in dict.fromkeys(TrackId(sid) for sid in named):
        if sid not in one.wishes and len(one.wishes) >= MAX_WISHES:
            return
        wish = one.wish(sid)
        if origin.room.owner(sid) is None:
            wish.missing_until = origin.now.at + patience
        yield sid, wish


# --- what publishers allow ------------------------------------------------------------------------


def permission(origin: Origin, request: rtc.SubscriptionPermission) -> list[Effect]:
    """Replace the publisher's rules; what is no longer allowed ends, what is again starts."""
    by_identity: dict[str, AccessRule] = {}
    by_sid: dict[str, AccessRule] = {}
    for entry in request.track_permissions[:MAX_PERMISSION_RULES]:
        rule = AccessRule(entry.all_tracks, frozenset(entry.track_sids))
        if entry.participant_identity:
            by_identity[entry.participant_identity] = rule
        elif entry.participant_sid:
            by_sid[entry.participant_sid] = rule
    origin.one.audience = Audience(request.all_participants, by_identity, by_sid)
    return offer_tracks(origin.room, origin.one, tuple(origin.one.tracks))
