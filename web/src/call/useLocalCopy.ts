import { type LocalTrackPublication, type Room, Track, TrackEvent } from "livekit-client";
import { useCallback, useEffect, useRef, useState } from "react";
import { copies } from "../copies/copies";
import { useCopies } from "../copies/useCopies";
import type { Explained } from "../explain";
import { askToPersist, type LocalRecorder, type Progress, type Source } from "../local-recorder";
import type { Seat } from "../session";
import { session, useSession } from "../state";
import { useMediaOf } from "./hooks";
import { useCurrentRecording } from "./useCurrentRecording";

export interface LocalCopy {
  /** The call is being recorded, so there is something to make a copy of. */
  running: boolean;
  /** It is made by the browsers alone: who makes no copy is not in it. */
  browsersOnly: boolean;
  wanted: boolean;
  want: (on: boolean) => void;
  /** Of the copy that is being made; null while none is. */
  progress: Progress | null;
}

const SETTLE_MS = 250;
const CAN_RECORD = typeof MediaRecorder === "function" && "indexedDB" in globalThis;
const CAMERA = [Track.Source.Camera, Track.Source.Microphone];
const SCREEN = [Track.Source.ScreenShare, Track.Source.ScreenShareAudio];

export const RECORDS_YOU: Explained = {
  title: "Your browser records you",
  advice:
    "The host has chosen so: everybody’s own browser makes this recording. Press the mark at the top if you don’t want that.",
};

/**
 * Records what this person sends in the browser itself, while the call is recorded and they want
 * it; where browsers alone record, as long as they don't decline. Tracks that come and go make new
 * parts; a lost connection changes nothing.
 */
export function useLocalCopy(
  room: Room,
  seat: Seat,
  connected: boolean,
  tell: (tone: "info" | "error", what: Explained) => void,
): LocalCopy | null {
  useSession();
  const { running, recording } = useCurrentRecording(room, seat.room, connected);
  const { localCopy, declined } = session.seat(seat.room) ?? seat;
  const mayPublish = room.localParticipant.permissions?.canPublish !== false;
  const able = CAN_RECORD && mayPublish;
  const browsersOnly = recording?.browsersOnly === true;
  const id = recording?.id ?? null;
  const wanted = browsersOnly ? declined !== id : (localCopy ?? false);
  const onProblem = useCallback((what: Explained) => tell("error", what), [tell]);
  const recorder = useRecorderOf(able && wanted ? id : null, seat, onProblem);
  useTakes(room, recorder, "camera", recording?.soundOnly ? [CAMERA[1]] : CAMERA, onProblem);
  useTakes(room, recorder, "screen", recording?.soundOnly ? [SCREEN[1]] : SCREEN, onProblem);
  const progress =
    useCopies().find((one) => one.recordingId === id && one.participantId === seat.identity) ??
    null;
  const want = useCallback(
    (on: boolean) => {
      if (!browsersOnly) session.changeSeat(seat.room, { localCopy: on });
      else session.changeSeat(seat.room, { declined: on ? undefined : (id ?? undefined) });
    },
    [seat.room, browsersOnly, id],
  );
  const byItself = able && browsersOnly && wanted;
  useEffect(() => {
    if (byItself) tell("info", RECORDS_YOU);
  }, [byItself, id, tell]);
  return able ? { running, browsersOnly, wanted, want, progress } : null;
}

/** A recorder for as long as the recording runs and is wanted. */
function useRecorderOf(
  recordingId: string | null,
  seat: Seat,
  onProblem: (what: Explained) => void,
): LocalRecorder | null {
  const [recorder, setRecorder] = useState<LocalRecorder | null>(null);
  const { room, token, identity } = seat;
  useEffect(() => {
    if (recordingId === null) return;
    let current = true;
    let opened: LocalRecorder | null = null;
    // whoever leaves, or switches it off, may come back while the recording runs
    const close = () => void opened?.leave();
    const context = { room, token };
    copies.open({ recordingId, participantId: identity, context }).then(
      (made) => {
        opened = made;
        made.subscribe(({ error }) => {
          if (current && error !== null) onProblem(failed(error));
        });
        if (current) setRecorder(made);
        else close();
      },
      (error: unknown) => {
        if (current) onProblem(failed(error));
      },
    );
    void askToPersist();
    return () => {
      current = false;
      setRecorder(null);
      close();
    };
  }, [recordingId, room, token, identity, onProblem]);
  return recorder;
}

/** Records the tracks of these sources, and begins a new part whenever they are others. */
function useTakes(
  room: Room,
  recorder: LocalRecorder | null,
  source: Source,
  sources: readonly (Track.Source | undefined)[],
  onProblem: (what: Explained) => void,
): void {
  const me = room.localParticipant;
  useMediaOf(me);
  const publications = sources
    .map((one) => one && me.getTrackPublication(one))
    .filter((one) => one !== undefined);
  useRestarts(publications);
  const tracks = publications.filter(isSending).map((one) => one.track?.mediaStreamTrack);
  const live = tracks.filter((one) => one !== undefined && one.readyState === "live");
  const latest = useRef(live);
  latest.current = live;
  const tell = useRef(onProblem);
  tell.current = onProblem;
  const key = live.map((one) => one?.id).join(" ");

  useEffect(() => {
    if (recorder === null) return;
    // microphone and camera come one after the other: one part for both
    const timer = window.setTimeout(() => {
      const stream = new MediaStream(latest.current.filter((one) => one !== undefined));
      const change = key === "" ? recorder.end(source) : recorder.start(stream, { source });
      change.catch((error: unknown) => {
        if (recorder.state !== "stopped") tell.current(failed(error));
      });
    }, SETTLE_MS);
    return () => window.clearTimeout(timer);
  }, [recorder, source, key]);
}

/** A muted microphone is recorded as silence; a camera that is off has no track. */
const isSending = ({ kind, isMuted }: LocalTrackPublication) =>
  kind === Track.Kind.Audio || !isMuted;

/** Draws again when a track's device was changed: the publication stays the same. */
function useRestarts(publications: LocalTrackPublication[]): void {
  const [, draw] = useState(0);
  const tracks = publications.map((one) => one.track);
  const key = publications.map((one) => one.trackSid).join(" ");
  useEffect(() => {
    const listener = () => draw((count) => count + 1);
    for (const track of tracks) track?.on(TrackEvent.Restarted, listener);
    return () => {
      for (const track of tracks) track?.off(TrackEvent.Restarted, listener);
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `key` names the tracks
  }, [key]);
}

function failed(error: unknown): Explained {
  const message = error instanceof Error ? error.message : String(error);
  return {
    title: "Your browser does not record",
    advice: `The server’s recording is not affected. The reason: ${message}.`,
  };
}
