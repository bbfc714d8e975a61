import { type SubmitEvent, useEffect, useState } from "react";
import { changeRoomSettings, type RoomSettings, roomSettings } from "../api";
import { type Explained, explain } from "../explain";
import { LAYOUTS } from "../recordings/renders";
import { session } from "../state";
import { Check } from "../ui/Check";
import { Dialog } from "../ui/Dialog";
import { Notice } from "../ui/Notice";

interface RoomSettingsDialogProps {
  room: string;
  onClose: () => void;
}

/** How calls of a room are recorded, for its hosts. */
export function RoomSettingsDialog({ room, onClose }: RoomSettingsDialogProps) {
  const [found, setFound] = useState<RoomSettings | null>(null);
  const [changed, setChanged] = useState<Partial<RoomSettings>>({});
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Explained | null>(null);

  useEffect(() => {
    const abort = new AbortController();
    roomSettings(session.tokenFor(room) ?? "", room, abort.signal)
      .then(setFound)
      .catch((error: unknown) => {
        if (!abort.signal.aborted) setProblem(explain(error));
      });
    return () => abort.abort();
  }, [room]);
  const save = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await changeRoomSettings(session.tokenFor(room) ?? "", room, changed);
      onClose();
    } catch (error) {
      setProblem(explain(error));
      setBusy(false);
    }
  };

  return (
    <Dialog title={`Recording in “${room}”`} onClose={onClose}>
      <form className="options" onSubmit={save} data-testid="room-settings-form">
        {found === null && !problem && <div className="skeleton" style={{ height: 240 }} />}
        {found !== null && (
          <Fields
            values={{ ...found, ...changed }}
            onChange={(to) => setChanged((before) => ({ ...before, ...to }))}
          />
        )}
        {problem && <Notice what={problem} />}
        <div className="actions">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button
            type="submit"
            className="button primary"
            disabled={busy || found === null}
            data-testid="save-room-settings"
          >
            {busy && <span className="spinner" />}
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}

interface FieldsProps {
  values: RoomSettings;
  onChange: (to: Partial<RoomSettings>) => void;
}

const LONGEST_MINUTES = 7 * 24 * 60;

function Fields({ values, onChange }: FieldsProps) {
  const off = !values.recordingEnabled;
  return (
    <>
      <Check
        text="Calls may be recorded"
        checked={values.recordingEnabled}
        onChange={(recordingEnabled) => onChange({ recordingEnabled })}
      />
      <Check
        text="Record every call by itself"
        disabled={off}
        checked={values.automaticRecording && !off}
        onChange={(automaticRecording) => onChange({ automaticRecording })}
      />
      <label className="field">
        Longest recording, in minutes
        <input
          className="input"
          type="number"
          required
          min={1}
          max={LONGEST_MINUTES}
          disabled={off}
          value={Number.isNaN(values.maxDurationMinutes) ? "" : values.maxDurationMinutes}
          onChange={(event) => onChange({ maxDurationMinutes: event.target.valueAsNumber })}
        />
      </label>
      <label className="field">
        At the end there is
        <select
          className="input"
          disabled={off}
          value={values.recordingMode}
          onChange={(event) =>
            onChange({ recordingMode: event.target.value as RoomSettings["recordingMode"] })
          }
        >
          <option value="tracks">A file for each person</option>
          <option value="composite">One video too, made after the call</option>
        </select>
      </label>
      {values.recordingMode === "composite" && !values.audioOnly && (
        <label className="field">
          Layout
          <select
            className="input"
            disabled={off}
            value={values.layout}
            onChange={(event) => onChange({ layout: event.target.value as RoomSettings["layout"] })}
          >
            {LAYOUTS.map(({ value, name, says }) => (
              <option key={value} value={value}>
                {name}: {says.toLowerCase()}
              </option>
            ))}
          </select>
        </label>
      )}
      <Check
        text="Sound only"
        disabled={off}
        checked={values.audioOnly}
        onChange={(audioOnly) => onChange({ audioOnly })}
      />
    </>
  );
}
