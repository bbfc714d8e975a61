import { type Room, RoomEvent } from "livekit-client";
import { useCallback, useEffect, useState } from "react";
import { listRecordings } from "../api";
import { isActive } from "../recordings/model";
import { session, usePolling } from "../state";
import { useRecordingFlag } from "./hooks";
import { onRecordingMessage } from "./recordingMessages";

/** The recording that runs in a room, as far as a browser that records itself has to know it. */
export interface CurrentRecording {
  id: string;
  /** The server records nothing: what there is, browsers send. */
  browsersOnly: boolean;
  soundOnly: boolean;
}

const FIND_MS = 1500;

/**
 * `running` says that one runs, or begins: the room's flag comes with the first media, which somebody's
 * browser may have to send. `recording` follows once it is looked up, and stays while the connection
 * is lost.
 */
export function useCurrentRecording(
  room: Room,
  name: string,
  connected: boolean,
): { running: boolean; recording: CurrentRecording | null } {
  const flag = useRecordingFlag(room);
  const begun = useBegun(room);
  const running = flag || begun !== null;
  const [recording, setRecording] = useState<CurrentRecording | null>(null);
  useEffect(() => {
    if (connected && !running) setRecording(null);
  }, [connected, running]);
  const searching = running && recording === null;
  const find = useCallback(
    async (signal: AbortSignal) => {
      if (!searching) return;
      const token = session.tokenFor(name) ?? "";
      const { items } = await listRecordings(token, 1, 5, { room: name }, signal);
      const active = items.find(({ status }) => isActive(status));
      if (active === undefined || signal.aborted) return;
      const { id, mode, options } = active;
      setRecording({
        id,
        browsersOnly: mode === "client",
        soundOnly: options?.audioOnly === true,
      });
    },
    [searching, name],
  );
  usePolling(find, searching ? FIND_MS : null);
  return { running, recording };
}

/** The recording that the server said has begun and not ended; after a lost connection the flag tells. */
function useBegun(room: Room): string | null {
  const [begun, setBegun] = useState<string | null>(null);
  useEffect(() => {
    const deafen = onRecordingMessage(room, (said) => {
      if (said.status === "starting" || said.status === "recording") setBegun(said.recordingId);
      else setBegun((id) => (id === said.recordingId ? null : id));
    });
    const forget = () => setBegun(null);
    room.on(RoomEvent.Disconnected, forget);
    return () => {
      deafen();
      room.off(RoomEvent.Disconnected, forget);
    };
  }, [room]);
  return begun;
}
