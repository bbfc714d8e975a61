import { useCallback, useRef, useState } from "react";
import { ask, type Access } from "./api";

const TIMESLICE = 1000;
const POLL_EVERY = 500;
const FINAL = ["recorded", "failed"];

export interface ChunkedRecording {
  recordingId: string | null;
  status: string;
  sent: number;
  /** Chunks whose answer is still out. */
  pending: number;
  error: string | null;
  start(stream: MediaStream, mimeType: string): Promise<void>;
  stop(): Promise<void>;
}

/** Records a call from the page itself and sends what it records, a piece each second. */
export function useChunkedRecording(
  access: Access,
  callId: string,
  participantId: string,
): ChunkedRecording {
  const [recordingId, setRecordingId] = useState<string | null>(null);
  const [status, setStatus] = useState("idle");
  const [sent, setSent] = useState(0);
  const [pending, setPending] = useState(0);
  const [error, setError] = useState<string | null>(null);
  const recorder = useRef<MediaRecorder | null>(null);

  const poll = useCallback(
    async (id: string) => {
      for (let state = ""; !FINAL.includes(state);) {
        const path = `/video-calls/recording/${id}/status`;
        state = (await ask<{ status: string }>(access, "GET", path)).status;
        setStatus(state);
        await new Promise((resolve) => setTimeout(resolve, POLL_EVERY));
      }
    },
    [access],
  );

  const start = useCallback(
    async (stream: MediaStream, mimeType: string) => {
      const path = `/video-calls/${callId}/recording/start`;
      const begun = await ask<{ recordingId: string }>(access, "POST", path);
      setRecordingId(begun.recordingId);
      let sequence = 0;
      const made = new MediaRecorder(stream, { mimeType });
      made.ondataavailable = (event) => {
        const number = sequence++;
        setPending((count) => count + 1);
        const reader = new FileReader();
        reader.onloadend = () => {
          const url = reader.result as string;
          ask(access, "POST", "/video-calls/chunks/upload", {
            recordingId: begun.recordingId,
            participantId,
            chunk: url.slice(url.indexOf("base64,") + "base64,".length),
            type: "video",
            timestamp: Date.now(),
            sequence: number,
          })
            .then(() => setSent((count) => count + 1))
            .catch((reason: unknown) => setError(String(reason)))
            .finally(() => setPending((count) => count - 1));
        };
        reader.readAsDataURL(event.data);
      };
      made.start(TIMESLICE);
      recorder.current = made;
      poll(begun.recordingId).catch((reason: unknown) => setError(String(reason)));
    },
    [access, callId, participantId, poll],
  );

  const stop = useCallback(async () => {
    recorder.current?.stop(); // its last chunk comes later than the request below
    await ask(access, "POST", `/video-calls/${callId}/recording/stop`);
  }, [access, callId]);

  return { recordingId, status, sent, pending, error, start, stop };
}
