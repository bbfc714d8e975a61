import type { Room } from "livekit-client";
import { useCallback, useEffect, useRef, useState } from "react";
import type { RecordingChoice } from "../api";
import type { Explained } from "../explain";
import { Icon } from "../ui/Icon";
import { RecordOptions } from "./RecordOptions";
import { RoomSettingsDialog } from "./RoomSettingsDialog";
import type { RecordState } from "./recording";
import type { LocalCopy } from "./useLocalCopy";
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
  copy: LocalCopy | null;
  onProblem: (what: Explained) => void;
}

export function RecordButton({ room, name, ready, copy, onProblem }: RecordButtonProps) {
  const [choice, setChoice] = useState<RecordingChoice | null>(null);
  const [open, setOpen] = useState<"nothing" | "options" | "settings">("nothing");
  const caret = useRef<HTMLButtonElement>(null);
  const { state, press } = useRecorder(room, name, choice);
  const close = useCallback(() => {
    setOpen("nothing");
    caret.current?.focus();
  }, []);
  const { label, caption } = WORDS[state.phase];
  const waits =
    !ready ||
    state.phase === "stopping" ||
    (state.phase === "starting" && state.recordingId === null);
  useEffect(() => {
    if (state.error) onProblem(state.error);
  }, [state.error, onProblem]);
  return (
    <div className="record-group">
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
      {state.phase === "idle" && (
        <button
          ref={caret}
          type="button"
          className="record-caret"
          data-testid="record-options"
          aria-label="How to record"
          title="How to record"
          aria-expanded={open === "options"}
          onClick={() => setOpen(open === "options" ? "nothing" : "options")}
        >
          <Icon name="up" />
        </button>
      )}
      {open === "options" && state.phase === "idle" && (
        <RecordOptions
          room={name}
          choice={choice}
          copy={copy}
          onChoice={setChoice}
          onSettings={() => setOpen("settings")}
          onClose={close}
        />
      )}
      {open === "settings" && <RoomSettingsDialog room={name} onClose={close} />}
    </div>
  );
}
