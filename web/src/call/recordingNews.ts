/** What people in a call are told about its recording. Pure. */

import type { Explained } from "../explain";

export const RECORDING_TOPIC = "recording";

/** What the server says to a room of its recording, as a data packet of this topic. */
export interface RecordingMessage {
  recordingId: string;
  status: string;
}

/** The same with what is only told to who may see the recording. */
export interface RecordingFate {
  status: string;
  endReason?: string | null;
  error?: string | null;
}

export function readRecordingMessage(payload: Uint8Array): RecordingMessage | null {
  try {
    const said: unknown = JSON.parse(new TextDecoder().decode(payload));
    if (typeof said !== "object" || said === null) return null;
    const { recordingId, status } = said as Partial<RecordingMessage>;
    if (typeof recordingId !== "string" || typeof status !== "string") return null;
    return { recordingId, status };
  } catch {
    return null;
  }
}

export const STARTED: Explained = {
  title: "This call is being recorded",
  advice: "Everyone in the room sees the red mark.",
};
export const STOPPED: Explained = {
  title: "The recording has stopped",
  advice: "It will be in the library in a moment.",
};

const ENDS = new Map<string, string>(
  Object.entries({
    max_duration: "It has reached the longest time that is set for this room.",
    no_media: "Nobody sent sound or picture for a while.",
    low_disk: "The server is short of disk space. What was recorded is kept.",
    write_failed: "The server could not write any more. What was recorded is kept.",
    media_lost: "The server’s media part has failed. What was recorded is kept.",
    shutdown: "The server is stopping. What was recorded is kept.",
  }),
);

/** True when there may be more to say than the room's flag does. */
export const mayBeNews = ({ status }: RecordingMessage): boolean =>
  status === "processing" || status === "failed";

/** The notice for an end; null where the room's flag says it already. */
export function noticeOf(
  message: RecordingFate,
): { tone: "info" | "error"; what: Explained } | null {
  if (message.status === "failed") {
    const advice = message.error ?? "Nothing of it could be kept. The server’s log says why.";
    return { tone: "error", what: { title: "The recording has failed", advice } };
  }
  const advice = ENDS.get(message.endReason ?? "");
  if (advice === undefined || message.status === "recording") return null;
  return { tone: "error", what: { title: STOPPED.title, advice } };
}
