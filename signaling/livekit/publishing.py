"""Tracks from announcement to end: add_track, the offer that carries them, mute, unpublish.

A track is announced by `add_track`, answered with its sid, and kept pending until an offer carries
it. From then on it is published: from the description, not from the first packet. There is no
message for its end: the section is gone from a later offer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from livekit.protocol import models, rtc

from mediaserver.messages import Kind, OfferResult, PublishedTrack, TrackId, TrackIntent
from signaling.livekit import responses
from signaling.livekit.effects import (
    Answer,
    Effect,
    ExpectTrack,
    MediaPublished,
    MuteTrack,
    Send,
)
from signaling.livekit.ids import new_track_sid
from signaling.livekit.limits import (
    MAX_LIST_ITEMS,
    MAX_NAME_LENGTH,
    MAX_PENDING_TRACKS,
    MAX_TRACK_BYTES,
    MAX_TRACKS,
    MAX_TRACKS_BYTES,
)
from signaling.livekit.participant import SOURCE_NAMES, Participant, Track
from signaling.livekit.responses import Action, DisconnectReason, Reason
from signaling.livekit.room_state import Origin, RoomState
from signaling.livekit.subscribing import forget_track, offer_tracks

TrackSource = models.TrackSource
TrackType = models.TrackType

_MIME_TYPES: Final = {
    "vp8": "video/VP8",
    "h264": "video/H264",
    "vp9": "video/VP9",
    "av1": "video/AV1",
    "opus": "audio/opus",
}
_KINDS: Final[dict[int, Kind]] = {TrackType.AUDIO: "audio", TrackType.VIDEO: "video"}
_KIND_OF_SOURCE: Final = {
    TrackSource.CAMERA: TrackType.VIDEO,
    TrackSource.SCREEN_SHARE: TrackType.VIDEO,
    TrackSource.MICROPHONE: TrackType.AUDIO,
    TrackSource.SCREEN_SHARE_AUDIO: TrackType.AUDIO,
}
_LIKELY_SOURCE: Final = {
    TrackType.AUDIO: TrackSource.MICROPHONE,
    TrackType.VIDEO: TrackSource.CAMERA,
}
_SCREEN: Final = frozenset({TrackSource.SCREEN_SHARE, TrackSource.SCREEN_SHARE_AUDIO})


# --- add_track ------------------------------------------------------------------------------------


def add_track(origin: Origin, request: rtc.AddTrackRequest) -> list[Effect]:
    one = origin.one
    _trim(request)
    refusal = _refusal(one, request)
    if refusal is not None:
        reason, message = refusal
        return [origin.reply(responses.refused(reason, message, request))]
    if request.cid in one.cids():
        # A client that publishes the same media again at once: the old track's end is on its way.
        one.queued.append(request)
        return [origin.reply(responses.refused(Reason.QUEUED, "this cid is in use", request))]
    track = Track(cid=request.cid, info=_track_info(request))
    if _size_of(one) + track.info.ByteSize() > MAX_TRACKS_BYTES:
        message = "the tracks say too much of themselves"
        return [origin.reply(responses.refused(Reason.LIMIT_EXCEEDED, message, request))]
    one.pending[track.sid] = track
    intent = TrackIntent(
        track_id=track.sid,
        client_id=track.cid,
        kind=_KINDS[track.info.type],
        stream_id=f"{one.sid}|{track.sid}",
        mime_type=track.info.mime_type,
        labels=_labels(origin.room, one, track.info),
    )
    published = responses.track_published(track.cid, track.info)
    return [origin.reply(published), ExpectTrack(one.sid, intent)]


def _trim(request: rtc.AddTrackRequest) -> None:
    """Shorten the lists that others will be told, and drop what this version can't judge."""
    request.DiscardUnknownFields()
    codecs = request.simulcast_codecs
    del codecs[MAX_LIST_ITEMS:]
    for codec in codecs:
        del codec.layers[MAX_LIST_ITEMS:]
    del request.layers[MAX_LIST_ITEMS:]
    del request.audio_features[MAX_LIST_ITEMS:]
    del request.packet_trailer_features[MAX_LIST_ITEMS:]


def _texts(request: rtc.AddTrackRequest) -> Iterator[str]:
    yield from (request.cid, request.name, request.stream, request.sid)
    yield from (layer.rid for layer in request.layers)
    for codec in request.simulcast_codecs:
        yield from (codec.cid, codec.codec)
        yield from (layer.rid for layer in codec.layers)


def _size_of(one: Participant) -> int:
    """Bytes that a participant's tracks, announced ones too, say of themselves."""
    return sum(track.info.ByteSize() for track in (*one.pending.values(), *one.tracks.values()))


def _refusal(one: Participant, request: rtc.AddTrackRequest) -> tuple[Reason, str] | None:
    """The first thing wrong with a request."""
    waiting = len(one.pending) + len(one.queued)
    too_many = waiting >= MAX_PENDING_TRACKS or waiting + len(one.tracks) >= MAX_TRACKS
    too_long = (
        any(len(text) > MAX_NAME_LENGTH for text in _texts(request))
        or request.ByteSize() > MAX_TRACK_BYTES
    )
    kind = _KIND_OF_SOURCE.get(request.source, request.type)
    more_of = one.track(request.sid) if request.sid else None
    checks = (
        (not one.may_publish(request.source), Reason.NOT_ALLOWED, "source not allowed"),
        (request.type not in _KINDS, Reason.UNSUPPORTED_TYPE, "neither audio nor video"),
        (kind != request.type, Reason.NOT_ALLOWED, "type does not fit the source"),
        (bool(request.sid) and more_of is None, Reason.NOT_FOUND, "no such track"),
        (more_of is not None, Reason.UNSUPPORTED_TYPE, "one codec a track"),
        (not request.cid or too_long, Reason.INVALID_REQUEST, "cid missing, or a text too long"),
        (too_many, Reason.LIMIT_EXCEEDED, "too many tracks"),
    )
    return next(((reason, message) for wrong, reason, message in checks if wrong), None)


def _track_info(request: rtc.AddTrackRequest) -> models.TrackInfo:
    """What others see of a track; mid and the codec in use follow with the offer."""
    codec = request.simulcast_codecs[0] if request.simulcast_codecs else None
    layers = codec.layers if codec is not None and codec.layers else request.layers
    info = models.TrackInfo(
        sid=new_track_sid(request.type, request.source),
        type=request.type,
        name=request.name,
        muted=request.muted,
        width=request.width,
        height=request.height,
        source=request.source,
        mime_type=_mime_type(codec.codec if codec is not None else ""),
        layers=layers,
        simulcast=False,
        stream=request.stream or ("screen" if request.source in _SCREEN else "camera"),
        disable_dtx=request.disable_dtx,
        stereo=request.stereo,
        disable_red=True,
        encryption=request.encryption,
        audio_features=_audio_features(request),
        backup_codec_policy=request.backup_codec_policy,
        packet_trailer_features=request.packet_trailer_features,
    )
    if codec is not None:
        info.codecs.add(
            mime_type=info.mime_type,
            cid=codec.cid or request.cid,
            layers=layers,
            video_layer_mode=codec.video_layer_mode,
        )
    return info


def _mime_type(codec: str) -> str:
    """`VP8`, `video/vp8` -> `video/VP8`; "" for what is not forwarded."""
    return _MIME_TYPES.get(codec.rpartition("/")[2].lower(), "")


def _audio_features(request: rtc.AddTrackRequest) -> list[models.AudioTrackFeature]:
    features = list(request.audio_features)
    if request.stereo:
        features.append(models.AudioTrackFeature.TF_STEREO)
    if request.disable_dtx:
        features.append(models.AudioTrackFeature.TF_NO_DTX)
    return list(dict.fromkeys(features))


def _labels(room: RoomState, one: Participant, info: models.TrackInfo) -> dict[str, str]:
    """What a recording keeps beside the media."""
    source = info.source
    if source == TrackSource.UNKNOWN:
        source = _LIKELY_SOURCE[info.type]
    return {
        "room": room.name,
        "participantId": one.identity,
        "participantName": one.name or one.identity,
        "source": SOURCE_NAMES[source],
        "trackName": info.name,
    }


# --- offers ---------------------------------------------------------------------------------------


def offer(origin: Origin, request: rtc.SessionDescription) -> list[Effect]:
    return [Answer(origin.one.sid, request.sdp, request.id)]


def answered(origin: Origin, offer_id: int, result: OfferResult) -> list[Effect]:
    """The media plane's answer: tell the others what is new and gone, answer, then subscribe."""
    room, one = origin.room, origin.one
    published = [track for said in result.published if (track := _publish(origin, said))]
    ended = [sid for sid in result.unpublished if one.tracks.pop(sid, None) is not None]
    for sid in ended:
        forget_track(room, sid)
    effects = room.catch_up(one)
    if published or ended:
        new = [track.sid for track in published]
        effects += room.announce(one, origin.now, include_self=False, tracks=new)
        room.counts_stale = True
    one.offers_answered += 1
    answer = responses.answer(result.answer_sdp, offer_id, result.mid_to_track)
    effects.append(origin.reply(answer))
    effects += [MuteTrack(track.sid, True) for track in published if track.info.muted]
    if published:
        effects.append(MediaPublished())
    effects += offer_tracks(room, one, [track.sid for track in published])
    effects += _attached(room, result.attached)
    effects += _unsupported(one, result.unsupported)
    room.needs.pop(one.sid, None)  # this answer knows better
    for peer, needed in result.requirements.items():
        room.need_sections(peer, needed)
    return effects + _retry_queued(origin)


def unanswerable(origin: Origin) -> list[Effect]:
    """An offer that can't be used: the client could only wait in vain for its answer."""
    started = origin.one.offers_answered > 0
    reason = DisconnectReason.MEDIA_FAILURE if started else DisconnectReason.JOIN_FAILURE
    return origin.room.expel(origin.one, Action.DISCONNECT, reason)


def _publish(origin: Origin, said: PublishedTrack) -> Track | None:
    one = origin.one
    track = one.pending.pop(said.track_id, None) or one.tracks.get(said.track_id)
    if track is None:
        return None
    info = track.info
    info.mid = said.mid
    info.mime_type = said.mime_type
    info.version.unix_micro = origin.now.unix_ms * 1000
    if not info.codecs:
        info.codecs.add(cid=track.cid, layers=info.layers)
    del info.codecs[1:]  # backup codecs that are not sent
    info.codecs[0].mime_type = said.mime_type
    info.codecs[0].mid = said.mid
    one.tracks[track.sid] = track
    return track


def _attached(room: RoomState, tracks: Iterable[TrackId]) -> list[Effect]:
    """Tell a publisher, once a track, that somebody is subscribed."""
    effects: list[Effect] = []
    for sid in tracks:
        publisher = room.owner(sid)
        if publisher is None or publisher.tracks[sid].subscriber_announced:
            continue
        publisher.tracks[sid].subscriber_announced = True
        effects.append(Send((publisher.sid,), responses.track_subscribed(sid)))
    return effects


def _unsupported(one: Participant, tracks: Iterable[TrackId]) -> list[Effect]:
    now_failing = set(tracks)
    newly = sorted(now_failing - one.unsupported)
    one.unsupported = now_failing
    failed = models.SubscriptionError.SE_CODEC_UNSUPPORTED
    return [Send((one.sid,), responses.subscription_failed(sid, failed)) for sid in newly]


def _retry_queued(origin: Origin) -> list[Effect]:
    """Requests whose cid was in use: their turn comes when the old track has ended."""
    waiting, origin.one.queued = origin.one.queued, []
    effects: list[Effect] = []
    for request in waiting:
        if request.cid in origin.one.cids():
            origin.one.queued.append(request)
        else:
            effects += add_track(origin, request)
    return effects


# --- mute -----------------------------------------------------------------------------------------


def mute(origin: Origin, request: rtc.MuteTrackRequest) -> list[Effect]:
    track = origin.one.track(request.sid)
    if track is None:
        return [origin.reply(responses.refused(Reason.NOT_FOUND, "no such track", request))]
    if track.info.muted == request.muted:
        return []
    track.info.muted = request.muted
    if track.sid not in origin.one.tracks:
        return []  # announced with the offer that carries it
    track.info.version.unix_micro = origin.now.unix_ms * 1000
    return [
        *origin.room.announce(origin.one, origin.now, include_self=False),
        MuteTrack(track.sid, request.muted),
    ]
