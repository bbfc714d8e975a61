import { useEffect, useRef, useState } from "react";
import { recordingEvents, recordingProgress, type RecordingProgress, unwrap } from "../api";
import { eventsOf } from "./eventStream";
import { isUnderWay } from "./model";

const AGAIN_MS = 2000;

/**
 * The state of a recording as it changes: from the server's stream of events, and by asking where
 * there is no stream. Null until something is known; `onEnd` hears of the last state, once.
 */
export function useLiveStatus(
  id: string,
  token: string,
  wanted: boolean,
  onEnd: () => void,
): RecordingProgress | null {
  const [now, setNow] = useState<RecordingProgress | null>(null);
  const ended = useRef(onEnd);
  ended.current = onEnd;

  useEffect(() => {
    if (!wanted) return;
    const abort = new AbortController();
    const { signal } = abort;
    /** True when it was the last. */
    const take = (status: RecordingProgress) => {
      if (signal.aborted) return true;
      setNow(status);
      if (isUnderWay(status.status)) return false;
      abort.abort();
      ended.current();
      return true;
    };
    const follow = async () => {
      while (!signal.aborted) {
        try {
          for await (const event of eventsOf(await recordingEvents(token, id, signal))) {
            if (event.event === "status" && take(statusOf(event.data))) return;
          }
        } catch {
          // no stream: ask instead
        }
        try {
          if (take(await recordingProgress(token, id, signal))) return;
        } catch {
          // the server is away for a moment, or the recording gone: the page notices that itself
        }
        await pause(AGAIN_MS, signal);
      }
    };
    void follow();
    return () => abort.abort();
  }, [id, token, wanted]);
  return now;
}

function statusOf(data: string): RecordingProgress {
  const said = JSON.parse(data) as RecordingProgress | { success: boolean };
  return "success" in said ? unwrap<RecordingProgress>(200, data) : said;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = window.setTimeout(done, ms);
    signal.addEventListener("abort", () => {
      window.clearTimeout(timer);
      done();
    });
  });
}
