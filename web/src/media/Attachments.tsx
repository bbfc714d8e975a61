import { type SubmitEvent, useEffect, useRef, useState } from "react";
import { Icon } from "../ui/Icon";
import { textOf } from "../ui/form";
import { type Attachment, attach, detach } from "./api";
import type { FileProps } from "./MediaPage";

/** Where the file is shown: videos of courses, by the names that the courses have for them. */
export function Attachments({ file, act }: FileProps) {
  const { id, attachments } = file;
  const [changing, setChanging] = useState<Attachment | null>(null);
  const [busy, setBusy] = useState(false);
  const course = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (changing !== null) course.current?.focus();
  }, [changing]);
  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const courseId = textOf(form, "course").trim();
    const videoId = textOf(form, "video").trim() || undefined;
    if (courseId === "") return;
    setBusy(true);
    // the new place first: a refusal leaves the old one as it was
    const done = await act(async (key) => {
      await attach(key, id, { courseId, videoId });
      if (changing !== null && nameOf(changing) !== nameOf({ courseId, videoId })) {
        await detach(key, id, changing);
      }
    });
    setBusy(false);
    if (!done) return;
    setChanging(null);
    form.reset();
  };
  const remove = async (one: Attachment) => {
    setBusy(true);
    await act((key) => detach(key, id, one));
    setBusy(false);
    setChanging(null);
  };
  return (
    <section className="card panel" aria-labelledby="attachments-heading">
      <h2 id="attachments-heading">Course videos</h2>
      {attachments.length === 0 && <p className="muted">This file is not attached to any.</p>}
      {attachments.length > 0 && (
        <ul data-testid="attachments">
          {attachments.map((one) => (
            <Row
              key={nameOf(one)}
              attachment={one}
              busy={busy}
              onChange={() => setChanging(one)}
              onRemove={() => void remove(one)}
            />
          ))}
        </ul>
      )}
      <form
        key={changing === null ? "new" : nameOf(changing)}
        className="one-line attach-form"
        onSubmit={(event) => void submit(event)}
      >
        <label className="field">
          Course
          <input
            ref={course}
            className="input"
            name="course"
            required
            maxLength={255}
            autoComplete="off"
            defaultValue={changing?.courseId ?? ""}
            data-testid="attach-course"
          />
        </label>
        <label className="field">
          Video (optional)
          <input
            className="input"
            name="video"
            maxLength={255}
            autoComplete="off"
            defaultValue={changing?.videoId ?? ""}
            data-testid="attach-video"
          />
        </label>
        <button type="submit" className="button" disabled={busy} data-testid="attach">
          {busy && <span className="spinner" />}
          {changing === null ? "Attach" : "Change"}
        </button>
        {changing !== null && (
          <button type="button" className="button quiet" onClick={() => setChanging(null)}>
            Cancel
          </button>
        )}
      </form>
    </section>
  );
}

const nameOf = ({ courseId, videoId }: Attachment) => JSON.stringify([courseId, videoId]);

interface RowProps {
  attachment: Attachment;
  busy: boolean;
  onChange: () => void;
  onRemove: () => void;
}

function Row({ attachment, busy, onChange, onRemove }: RowProps) {
  const { courseId, videoId } = attachment;
  const name = videoId === undefined ? courseId : `${courseId}, ${videoId}`;
  const buttons = [
    ["pencil", `Change ${name}`, onChange],
    ["trash", `Detach from ${name}`, onRemove],
  ] as const;
  return (
    <li className="row-line" data-testid="attachment">
      <div className="grow attached">
        <bdi>{courseId}</bdi>
        {videoId !== undefined && (
          <span className="muted">
            {" "}
            · video <bdi>{videoId}</bdi>
          </span>
        )}
      </div>
      {buttons.map(([icon, text, onDo]) => (
        <button
          key={icon}
          type="button"
          className="button quiet icon-only small"
          title={text}
          disabled={busy}
          onClick={onDo}
        >
          <Icon name={icon} />
          <span className="visually-hidden">{text}</span>
        </button>
      ))}
    </li>
  );
}
