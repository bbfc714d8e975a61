import { useEffect, useRef, useState } from "react";
import { Icon, type IconName } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import type { BatchAction, BatchOptions, MediaFile } from "./api";
import { type BatchProblem, failedWords } from "./batch";
import { TagDialog, VersionsDialog } from "./BatchDialogs";

interface BatchBarProps {
  files: readonly MediaFile[];
  chosen: readonly MediaFile[];
  deleted: boolean;
  busy: boolean;
  onChoose: (all: boolean) => void;
  onDo: (action: BatchAction, options?: BatchOptions) => void;
}

/** What can be done to several files together: above them, so that it comes first by keyboard. */
export function BatchBar({ files, chosen, deleted, busy, onChoose, onDo }: BatchBarProps) {
  const [asking, setAsking] = useState<"nothing" | "tags" | "versions">("nothing");
  const all = useRef<HTMLInputElement>(null);
  const some = chosen.length > 0 && chosen.length < files.length;
  useEffect(() => {
    if (all.current) all.current.indeterminate = some;
  }, [some]);
  const done = (action: BatchAction, options?: BatchOptions) => {
    setAsking("nothing");
    all.current?.focus(); // the buttons may go
    onDo(action, options);
  };
  return (
    <div className="batch" role="group" aria-label="Chosen files" data-testid="batch">
      <label className="check">
        <input
          ref={all}
          type="checkbox"
          checked={chosen.length === files.length}
          onChange={(event) => onChoose(event.target.checked)}
          data-testid="choose-all"
        />
        {chosen.length === 0 ? `Choose all ${files.length}` : `${chosen.length} chosen`}
      </label>
      {busy && <span className="spinner" />}
      {chosen.length > 0 && !deleted && (
        <>
          <Do icon="tag" text="Tag" narrow disabled={busy} onDo={() => setAsking("tags")} />
          <Do
            icon="film"
            text="Make versions"
            narrow
            disabled={busy}
            onDo={() => setAsking("versions")}
          />
          <Do icon="trash" text="Delete" narrow disabled={busy} onDo={() => done("delete")} />
        </>
      )}
      {chosen.length > 0 && deleted && (
        <Do icon="again" text="Restore" disabled={busy} onDo={() => done("restore")} />
      )}
      {asking === "tags" && (
        <TagDialog
          count={chosen.length}
          onTags={(tags) => done("tag", { tags })}
          onClose={() => setAsking("nothing")}
        />
      )}
      {asking === "versions" && (
        <VersionsDialog
          files={chosen}
          onMake={(renditions) => done("process", { renditions })}
          onClose={() => setAsking("nothing")}
        />
      )}
    </div>
  );
}

interface DoProps {
  icon: IconName;
  text: string;
  disabled: boolean;
  /** Beside others: on a phone there is only room for its icon. */
  narrow?: boolean;
  onDo: () => void;
}

function Do({ icon, text, disabled, narrow, onDo }: DoProps) {
  return (
    <button
      type="button"
      className={`button small ${narrow ? "batch-icon" : ""}`}
      title={text}
      disabled={disabled}
      onClick={onDo}
      data-testid={`batch-${text.split(" ")[0]?.toLowerCase()}`}
    >
      <Icon name={icon} />
      <span className="words">{text}</span>
    </button>
  );
}

/** What became of an action on several files, as far as it went wrong. */
export interface BatchFailure {
  action: BatchAction;
  total: number;
  /** By name, as it was then. */
  problems: (BatchProblem & { name: string })[];
}

interface BatchFailuresProps {
  failure: BatchFailure;
  onDismiss: () => void;
}

export function BatchFailures({ failure, onDismiss }: BatchFailuresProps) {
  const { action, problems, total } = failure;
  return (
    <Notice
      tone="warn"
      what={{ title: failedWords(action, problems.length, total), advice: "" }}
      details={
        <ul className="batch-problems" data-testid="batch-problems">
          {problems.map(({ id, name, what }) => (
            <li key={id}>
              <bdi>{name}</bdi>: {what.title}. {what.advice}
            </li>
          ))}
        </ul>
      }
      onDismiss={onDismiss}
    />
  );
}
