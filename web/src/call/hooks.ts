/** Small views on a livekit room for components. */

import { type Participant, ParticipantEvent, type Room, RoomEvent, Track } from "livekit-client";
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";

const RECORDING_EVENTS = [
  RoomEvent.RecordingStatusChanged,
  RoomEvent.Connected,
  RoomEvent.Reconnected,
  RoomEvent.Disconnected,
] as const;

/** The room's recording flag, which everyone in the room sees, also right after a reload. */
export function useRecordingFlag(room: Room): boolean {
  const subscribe = useCallback(
    (listener: () => void) => {
      for (const event of RECORDING_EVENTS) room.on(event, listener);
      return () => {
        for (const event of RECORDING_EVENTS) room.off(event, listener);
      };
    },
    [room],
  );
  return useSyncExternalStore(subscribe, () => room.isRecording);
}

const MEDIA_EVENTS = [
  ParticipantEvent.TrackMuted,
  ParticipantEvent.TrackUnmuted,
  ParticipantEvent.TrackPublished,
  ParticipantEvent.TrackUnpublished,
  ParticipantEvent.TrackSubscribed,
  ParticipantEvent.TrackUnsubscribed,
  ParticipantEvent.LocalTrackPublished,
  ParticipantEvent.LocalTrackUnpublished,
  ParticipantEvent.IsSpeakingChanged,
  ParticipantEvent.ParticipantNameChanged,
  ParticipantEvent.ParticipantPermissionsChanged,
] as const;

/** Draws the component again whenever what this participant sends changes. */
export function useMediaOf(participant: Participant): void {
  const [, draw] = useState(0);
  useEffect(() => {
    const listener = () => draw((count) => count + 1);
    for (const event of MEDIA_EVENTS) participant.on(event, listener);
    listener();
    return () => {
      for (const event of MEDIA_EVENTS) participant.off(event, listener);
    };
  }, [participant]);
}

/** True when frames of this source can be shown: published, received, not muted. */
export function isShowing(participant: Participant, source: Track.Source): boolean {
  const publication = participant.getTrackPublication(source);
  return publication?.track !== undefined && !publication.isMuted;
}

export function displayName(participant: Participant): string {
  return participant.name || participant.identity;
}

export const isScreen = (source: Track.Source) => source === Track.Source.ScreenShare;
