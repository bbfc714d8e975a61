import { type SubmitEvent, useState } from "react";
import { type Recording, startRender } from "../api";
import { type Explained, explain } from "../explain";
import { Check, Choice } from "../ui/Check";
import { Dialog } from "../ui/Dialog";
import { Notice } from "../ui/Notice";
import { nameIn, playable } from "./model";
import { LAYOUTS, optionsOf, type RenderForm } from "./renders";

interface RenderDialogProps {
  recording: Recording;
  token: string;
  onStarted: () => void;
  onClose: () => void;
}

/** Asks for one video of everybody. It is made from the stored files, which stay as they are. */
export function RenderDialog({ recording, token, onStarted, onClose }: RenderDialogProps) {
  const people = peopleOf(recording);
  const [form, setForm] = useState<RenderForm>({
    layout: "grid",
    focus: people[0]?.id ?? "",
    quality: "720p",
    audioOnly: false,
    names: true,
  });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Explained | null>(null);
  const change = (to: Partial<RenderForm>) => setForm((before) => ({ ...before, ...to }));

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await startRender(token, recording.id, optionsOf(form));
      onStarted();
    } catch (error) {
      setProblem(explain(error));
      setBusy(false);
    }
  };

  return (
    <Dialog title="Make one video" onClose={onClose}>
      <form className="options" onSubmit={submit} data-testid="render-form">
        <p className="muted">
          Everybody in one file, put together on the server. The files of the recording stay as they
          are.
        </p>
        <fieldset disabled={form.audioOnly}>
          <legend>Layout</legend>
          <div className="choices">
            {LAYOUTS.map(({ value, name, says }) => (
              <Choice
                key={value}
                group="layout"
                name={name}
                says={says}
                checked={form.layout === value}
                onChange={() => change({ layout: value })}
              />
            ))}
          </div>
        </fieldset>
        {form.layout === "single" && !form.audioOnly && (
          <label className="field">
            Who
            <select
              className="input"
              value={form.focus}
              onChange={(event) => change({ focus: event.target.value })}
            >
              {people.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        )}
        {!form.audioOnly && (
          <label className="field">
            Quality
            <select
              className="input"
              value={form.quality}
              onChange={(event) => change({ quality: event.target.value as RenderForm["quality"] })}
            >
              <option value="720p">720p, made faster</option>
              <option value="1080p">1080p, sharper and larger</option>
            </select>
          </label>
        )}
        {!form.audioOnly && (
          <Check text="Show names" checked={form.names} onChange={(names) => change({ names })} />
        )}
        <Check
          text="Sound only"
          checked={form.audioOnly}
          onChange={(audioOnly) => change({ audioOnly })}
        />
        {problem && <Notice what={problem} />}
        <div className="actions">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button
            type="submit"
            className="button primary"
            disabled={busy}
            data-testid="start-render"
          >
            {busy && <span className="spinner" />}
            Make the video
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function peopleOf(recording: Recording): { id: string; name: string }[] {
  const people = new Map<string, string>();
  for (const { kind, participantId, participantName } of playable(recording)) {
    if (kind === "composite" || !participantId) continue;
    if (!people.get(participantId)) people.set(participantId, participantName);
  }
  return [...people].map(([id, name]) => ({ id, name: name || nameIn(id) }));
}
