import { type SubmitEvent, useState } from "react";
import { Dialog } from "../ui/Dialog";
import { textOf } from "../ui/form";
import type { MediaFile } from "./api";
import { renditionsToMake, tagsFrom } from "./model";
import { VersionChoices } from "./VersionChoices";

interface TagDialogProps {
  count: number;
  onTags: (tags: string[]) => void;
  onClose: () => void;
}

export function TagDialog({ count, onTags, onClose }: TagDialogProps) {
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const tags = tagsFrom(textOf(event.currentTarget, "tags"));
    if (tags.length > 0) onTags(tags);
  };
  return (
    <Dialog title={count === 1 ? "Tag 1 file" : `Tag ${count} files`} onClose={onClose}>
      <form onSubmit={submit}>
        <label className="field">
          Tags to add, separated by commas
          <input
            className="input"
            name="tags"
            maxLength={200}
            required
            autoComplete="off"
            placeholder="For example: lesson, draft"
            data-testid="batch-tags"
          />
        </label>
        <Actions text="Add" onClose={onClose} />
      </form>
    </Dialog>
  );
}

interface VersionsDialogProps {
  files: readonly MediaFile[];
  onMake: (renditions: string[]) => void;
  onClose: () => void;
}

/** Offered is what one of the files can still have; the server leaves out what a file has already. */
export function VersionsDialog({ files, onMake, onClose }: VersionsDialogProps) {
  const [wanted, setWanted] = useState<readonly string[]>([]);
  const offered = [...new Set(files.flatMap(renditionsToMake))].sort(inOrder);
  return (
    <Dialog title="Make versions" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onMake([...wanted]);
        }}
      >
        {offered.length === 0 && <p>All of these files have every version already.</p>}
        <VersionChoices offered={offered} wanted={wanted} onWant={setWanted} />
        <Actions text="Make" disabled={wanted.length === 0} onClose={onClose} />
      </form>
    </Dialog>
  );
}

const sizeOf = (name: string) => (name === "hls" ? Infinity : parseInt(name));
const inOrder = (a: string, b: string) => sizeOf(a) - sizeOf(b);

interface ActionsProps {
  text: string;
  disabled?: boolean;
  onClose: () => void;
}

function Actions({ text, disabled, onClose }: ActionsProps) {
  return (
    <div className="actions">
      <button type="button" className="button" onClick={onClose}>
        Cancel
      </button>
      <button
        type="submit"
        className="button primary"
        disabled={disabled}
        data-testid="batch-confirm"
      >
        {text}
      </button>
    </div>
  );
}
