import { useEffect, useState } from "react";
import { type RecordingChoice, type RoomSettings, roomSettings } from "../api";
import { LAYOUTS } from "../recordings/renders";
import { session } from "../state";
import { Check, Choice } from "../ui/Check";
import { Icon } from "../ui/Icon";
import { Panel } from "../ui/Panel";
import { LocalCopyCheck } from "./LocalCopyChip";
import type { LocalCopy } from "./useLocalCopy";

interface RecordOptionsProps {
  room: string;
  choice: RecordingChoice | null;
  copy: LocalCopy | null;
  onChoice: (choice: RecordingChoice) => void;
  onSettings: () => void;
  onClose: () => void;
}

const USUAL: RecordingChoice = { mode: "tracks", layout: "grid", audioOnly: false };

/** How the next recording is made. What the room's settings say comes first. */
export function RecordOptions(props: RecordOptionsProps) {
  const { room, choice, copy, onChoice, onSettings, onClose } = props;
  const [usual, setUsual] = useState<RecordingChoice>(USUAL);
  useEffect(() => {
    const abort = new AbortController();
    roomSettings(session.tokenFor(room) ?? "", room, abort.signal)
      .then((found) => setUsual(choiceOf(found)))
      .catch(() => undefined); // then the choice begins with what is usual
    return () => abort.abort();
  }, [room]);
  const shown = choice ?? usual;
  const change = (to: Partial<RecordingChoice>) => onChoice({ ...shown, ...to });
  return (
    <Panel title="How to record" className="record-panel" testId="record-panel" onClose={onClose}>
      <fieldset>
        <legend>At the end there is</legend>
        <div className="choices">
          <Choice
            group="record-mode"
            checked={shown.mode === "tracks"}
            onChange={() => change({ mode: "tracks" })}
            name="A file for each person"
            says="One video can be made of them later"
          />
          <Choice
            group="record-mode"
            checked={shown.mode === "composite"}
            onChange={() => change({ mode: "composite" })}
            name="One video too"
            says="Made after the call, beside the files"
          />
          <Choice
            group="record-mode"
            checked={shown.mode === "client"}
            onChange={() => change({ mode: "client" })}
            name="Every browser’s own recording"
            says="Best quality on any network, but nothing on the server: who declines, or leaves before all is sent, is missing"
          />
        </div>
      </fieldset>
      {shown.mode === "composite" && !shown.audioOnly && (
        <label className="field">
          Layout
          <select
            className="input"
            value={shown.layout}
            onChange={(event) =>
              change({ layout: event.target.value as RecordingChoice["layout"] })
            }
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
        checked={shown.audioOnly}
        onChange={(audioOnly) => change({ audioOnly })}
      />
      {copy && shown.mode !== "client" && (
        <LocalCopyCheck checked={copy.wanted} onChange={copy.want} />
      )}
      <button type="button" className="button quiet small" onClick={onSettings}>
        <Icon name="settings" />
        Settings of this room
      </button>
    </Panel>
  );
}

export function choiceOf({ recordingMode, layout, audioOnly }: RoomSettings): RecordingChoice {
  return { mode: recordingMode, layout, audioOnly };
}
