import { type LocalTrackPublication, type Room, Track, TrackEvent } from "livekit-client";
import { useCallback, useEffect, useRef, useState } from "react";
import { listRecordings } from "../api";
import { copies } from "../copies/copies";
import { useCopies } from "../copies/useCopies";
import type { Explained } from "../explain";
import { askToPersist, type LocalRecorder, type Progress, type Source } from "../local-recorder";
import { isActive } from "../recordings/model";
import type { Seat } from "../session";
import { session, usePolling, useSession } from "../state";
import { useMediaOf, useRecordingFlag } from "./hooks";

export interface LocalCopy {
  /** The call is being recorded, so there is something to make a copy of. */
  running: boolean;
  wanted: boolean;
  want: (on: boolean) => void;
  /** Of the copy that is being made; null while none is. */
  progress: Progress | null;
}

const FIND_MS = 1500;
const SETTLE_MS = 250;
const CAN_RECORD = typeof MediaRecorder === "function" && "indexedDB" in globalThis;

/**
 * Records what this person sends in the browser itself, while the call is recorded and they want
 * it. Tracks that come and go make new parts; a lost connection changes nothing.
 */
export function useLocalCopy(
  room: Room,
  seat: Seat,
  connected: boolean,
  onProblem: (what: Explained) => void,
): LocalCopy | null {
  const flag = useRecordingFlag(room);
  useSession();
  const wanted = session.seat(seat.room)?.localCopy ?? false;
  const recordingId = useRecordingId(seat.room, flag, connected, wanted);
  const recorder = useRecorderOf(recordingId, seat, onProblem);
  useTakes(room, recorder, "camera", [Track.Source.Camera, Track.Source.Microphone], onProblem);
  useTakes(
    room,
    recorder,
    "screen",
    [Track.Source.ScreenShare, Track.Source.ScreenShareAudio],
    onProblem,
  );
  const progress =
    useCopies().find(
      (one) => one.recordingId === recordingId && one.participantId === seat.identity,
    ) ?? null;
  const want = useCallback(
    (on: boolean) => session.changeSeat(seat.room, { localCopy: on }),
    [seat.room],
  );
  const mayPublish = room.localParticipant.permissions?.canPublish !== false;
  return CAN_RECORD && mayPublish ? { running: flag, wanted, want, progress } : null;
}

/** The recording that runs in the room, once it is wanted; it stays while the connection is lost. */
function useRecordingId(
  name: string,
  flag: boolean,
  connected: boolean,
  wanted: boolean,
): string | null {
  const [id, setId] = useState<string | null>(null);
  useEffect(() => {
    if (!wanted || (connected && !flag)) setId(null);
  }, [wanted, connected, flag]);
  const searching = wanted && flag && id === null;
  const find = useCallback(
    async (signal: AbortSignal) => {
      if (!searching) return;
      const token = session.tokenFor(name) ?? "";
      const { items } = await listRecordings(token, 1, 5, { room: name }, signal);
      const active = items.find(({ status }) => isActive(status));
      if (active !== undefined && !signal.aborted) setId(active.id);
    },
    [searching, name],
  );
  usePolling(find, searching ? FIND_MS : null);
  return id;
}

/** A recorder for as long as the recording runs and is wanted. */
function useRecorderOf(
  recordingId: string | null,
  seat: Seat,
  onProblem: (what: Explained) => void,
): LocalRecorder | null {
  const [recorder, setRecorder] = useState<LocalRecorder | null>(null);
  const leaving = useRef(false);
  const tell = useRef(onProblem);
  tell.current = onProblem;
  useEffect(
    () => () => {
      leaving.current = true; // runs before the cleanup below when the call is left
    },
    [],
  );
  const { room, token, identity } = seat;
  useEffect(() => {
    if (recordingId === null) return;
    let current = true;
    let opened: LocalRecorder | null = null;
    // who leaves the call is done; who only switches it off may go on while the recording runs
    const close = () => void (leaving.current ? opened?.stop() : opened?.leave());
    const context = { room, token };
    copies.open({ recordingId, participantId: identity, context }).then(
      (made) => {
        opened = made;
        if (current) setRecorder(made);
        else close();
      },
      (error: unknown) => {
        if (current) tell.current(failed(error));
      },
    );
    void askToPersist();
    return () => {
      current = false;
      setRecorder(null);
      close();
    };
  }, [recordingId, room, token, identity]);
  return recorder;
}

/** Records the tracks of these sources, and begins a new part whenever they are others. */
function useTakes(
  room: Room,
  recorder: LocalRecorder | null,
  source: Source,
  sources: Track.Source[],
  onProblem: (what: Explained) => void,
): void {
  const me = room.localParticipant;
  useMediaOf(me);
  const publications = sources
    .map((one) => me.getTrackPublication(one))
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
