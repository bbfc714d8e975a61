import type { Room } from "livekit-client";
import { useCallback, useEffect, useReducer } from "react";
import { type RecordingChoice, recordingProgress, startRecording, stopRecording } from "../api";
import { explain } from "../explain";
import { session, usePolling } from "../state";
import { useRecordingFlag } from "./hooks";
import { initialRecordState, type RecordState, recordReducer } from "./recording";

const POLL_MS = 1500;
const SETTLE_MS = 6000;

/**
 * The host's control over the recording of a room: its state, and the press of the button.
 * `choice` is for the next one; null leaves it to the room's settings.
 */
export function useRecorder(
  room: Room,
  name: string,
  choice: RecordingChoice | null,
): { state: RecordState; press: () => void } {
  const flag = useRecordingFlag(room);
  const [state, dispatch] = useReducer(recordReducer, flag, initialRecordState);
  useEffect(() => dispatch({ type: "flag", on: flag }), [flag]);

  const start = useCallback(async () => {
    dispatch({ type: "start" });
    try {
      const { recordingId } = await startRecording(
        session.tokenFor(name) ?? "",
        name,
        choice ?? {},
      );
      dispatch({ type: "accepted", recordingId });
    } catch (error) {
      dispatch({ type: "failed", error: explain(error) });
    }
  }, [name, choice]);

  const stop = useCallback(async () => {
    dispatch({ type: "stop" });
    try {
      await stopRecording(session.tokenFor(name) ?? "", name);
      dispatch({ type: "stopped" });
    } catch (error) {
      dispatch({ type: "failed", error: explain(error) });
    }
  }, [name]);

  const waitingFor = state.phase === "starting" ? state.recordingId : null;
  const watch = useCallback(
    async (signal: AbortSignal) => {
      if (waitingFor === null) return;
      const token = session.tokenFor(name) ?? "";
      const { status, error } = await recordingProgress(token, waitingFor, signal);
      if (status === "failed") {
        const advice = error ?? "Try again; the server’s log says more.";
        dispatch({ type: "failed", error: { title: "The recording did not start", advice } });
      } else if (status !== "starting" && status !== "recording") {
        dispatch({ type: "settle" });
      }
    },
    [name, waitingFor],
  );
  usePolling(watch, waitingFor === null ? null : POLL_MS);

  useEffect(() => {
    if (state.phase !== "stopping") return;
    const timer = window.setTimeout(() => dispatch({ type: "settle" }), SETTLE_MS);
    return () => window.clearTimeout(timer);
  }, [state.phase]);

  const press = useCallback(() => {
    if (state.phase === "idle") void start();
    else if (state.phase !== "stopping") void stop();
  }, [state.phase, start, stop]);
  return { state, press };
}
