import type { Room } from "livekit-client";
import { useEffect } from "react";
import type { Explained } from "../explain";
import type { RecordState } from "./recording";
import { useRecorder } from "./useRecorder";

const WORDS: Record<RecordState["phase"], { label: string; caption: string }> = {
  idle: { label: "Record this call", caption: "Record" },
  starting: { label: "Starting… Press to cancel the recording", caption: "Starting…" },
  recording: { label: "Stop recording", caption: "Stop recording" },
  stopping: { label: "Saving… The recording has stopped", caption: "Saving…" },
};

interface RecordButtonProps {
  room: Room;
  name: string;
  ready: boolean;
  onProblem: (what: Explained) => void;
}

export function RecordButton({ room, name, ready, onProblem }: RecordButtonProps) {
  const { state, press } = useRecorder(room, name);
  const { label, caption } = WORDS[state.phase];
  const waits =
    !ready ||
    state.phase === "stopping" ||
    (state.phase === "starting" && state.recordingId === null);
  useEffect(() => {
    if (state.error) onProblem(state.error);
  }, [state.error, onProblem]);
  return (
    <button
      type="button"
      className="control plain record"
      data-testid="record-button"
      data-state={state.phase}
      aria-label={label}
      aria-busy={state.phase === "starting" || state.phase === "stopping"}
      title={label}
      aria-disabled={waits}
      onClick={waits ? undefined : press}
    >
      <span className="control-face">
        {state.phase === "starting" || state.phase === "stopping" ? (
          <span className="spinner" />
        ) : (
          <span className="record-glyph" />
        )}
      </span>
      <span className="control-caption" aria-hidden="true">
        {caption}
      </span>
    </button>
  );
}
