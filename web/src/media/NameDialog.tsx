import { type SubmitEvent, useState } from "react";
import { Dialog } from "../ui/Dialog";
import { textOf } from "../ui/form";
import { changeMedia } from "./api";
import type { FileProps } from "./MediaPage";

export function NameDialog({ file, act, onClose }: FileProps & { onClose: () => void }) {
  const [busy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const filename = textOf(event.currentTarget, "filename").trim();
    if (filename === "") return;
    setBusy(true);
    await act((key) => changeMedia(key, file.id, { filename }));
    onClose();
  };
  return (
    <Dialog title="Rename" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <label className="field">
          Name
          <input
            className="input"
            name="filename"
            maxLength={255}
            required
            autoComplete="off"
            defaultValue={file.filename}
            data-testid="new-name"
          />
        </label>
        <div className="actions">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button primary" disabled={busy} data-testid="save-name">
            {busy && <span className="spinner" />}
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}
