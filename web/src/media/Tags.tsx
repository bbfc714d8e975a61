import { type SubmitEvent, useState } from "react";
import { Icon } from "../ui/Icon";
import { textOf } from "../ui/form";
import { changeMedia } from "./api";
import type { FileProps } from "./MediaPage";
import { tagsFrom } from "./model";

export function Tags({ file, act }: FileProps) {
  const [busy, setBusy] = useState(false);
  const set = async (tags: string[]) => {
    setBusy(true);
    await act((key) => changeMedia(key, file.id, { tags }));
    setBusy(false);
  };
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const added = tagsFrom(textOf(form, "tags"));
    if (added.length > 0) void set([...new Set([...file.tags, ...added])]).then(() => form.reset());
  };
  return (
    <section className="card panel" aria-labelledby="tags-heading">
      <h2 id="tags-heading">Tags</h2>
      {file.tags.length > 0 && (
        <ul className="tags" data-testid="tags">
          {file.tags.map((tag) => (
            <li key={tag} className="tag removable">
              {tag}
              <button
                type="button"
                disabled={busy}
                onClick={() => void set(file.tags.filter((one) => one !== tag))}
              >
                <Icon name="close" />
                <span className="visually-hidden">Remove the tag {tag}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      <form className="one-line" onSubmit={submit}>
        <input
          className="input"
          name="tags"
          aria-label="New tags"
          placeholder="For example: lesson, draft"
          maxLength={200}
          autoComplete="off"
          data-testid="new-tags"
        />
        <button type="submit" className="button" disabled={busy}>
          Add
        </button>
      </form>
    </section>
  );
}
