import "../styles/copies.css";
import { useState } from "react";
import { fileSize } from "../format";
import type { Progress } from "../local-recorder";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { contextOf, copies } from "./copies";
import { percentOf, refusalOf, savedOf, waitOf } from "./words";

/** Local recordings on their way to the server, one card each. */
export function CopyList({ shown }: { shown: readonly Progress[] }) {
  return (
    <ul className="copies" aria-label="Your own recordings">
      {shown.map((progress) => (
        <li key={progress.id} data-testid="copy" data-phase={progress.phase}>
          {progress.phase === "refused" ? (
            <RefusedCopy progress={progress} />
          ) : (
            <SentCopy progress={progress} />
          )}
        </li>
      ))}
    </ul>
  );
}

function SentCopy({ progress }: { progress: Progress }) {
  const { id, phase, bytesTotal, waiting } = progress;
  const { room } = contextOf(progress.context);
  const done = phase === "done";
  const wait = waitOf(progress);
  return (
    <div className="copy">
      <div className="copy-head">
        <Icon name={done ? "check" : "laptop"} />
        <strong className="truncate">Your own recording of “{room}”</strong>
        {done && (
          <button
            type="button"
            className="button quiet icon-only small"
            onClick={() => copies.dismiss(id)}
          >
            <Icon name="close" />
            <span className="visually-hidden">Dismiss</span>
          </button>
        )}
      </div>
      {!done && (
        <progress
          value={percentOf(progress)}
          max={100}
          aria-label={`Saving your recording of ${room}`}
        />
      )}
      <div className="copy-words muted">
        {!done && `${savedOf(progress)} saved. `}
        <span role="status">
          {done
            ? `All ${fileSize(bytesTotal)} are on the server.`
            : (wait ?? "Keep this page open until it is done.")}
        </span>
      </div>
      {(waiting === "network" || waiting === "server") && (
        <button type="button" className="button small" onClick={copies.retryNow}>
          Try now
        </button>
      )}
    </div>
  );
}

function RefusedCopy({ progress }: { progress: Progress }) {
  const [asking, setAsking] = useState(false);
  const { id } = progress;
  return (
    <Notice tone="warn" what={refusalOf(progress)}>
      <div className="copy-actions">
        {asking ? (
          <>
            <button type="button" className="button small" onClick={() => setAsking(false)}>
              Keep it
            </button>
            <button
              type="button"
              className="button danger small"
              data-testid="copy-discard-confirm"
              onClick={() => void copies.discard(id)}
            >
              Discard for good
            </button>
          </>
        ) : (
          <>
            <button
              type="button"
              className="button primary small"
              data-testid="copy-save"
              onClick={() => void saveToFiles(id)}
            >
              Save to a file
            </button>
            <button
              type="button"
              className="button small"
              onClick={() => void copies.reconsider(id)}
            >
              Try again
            </button>
            <button
              type="button"
              className="button quiet small"
              data-testid="copy-discard"
              onClick={() => setAsking(true)}
            >
              Discard
            </button>
          </>
        )}
      </div>
    </Notice>
  );
}

/** Has the browser save what it has of a session: a file for each part. */
async function saveToFiles(id: string): Promise<void> {
  for (const { name, blob } of await copies.files(id)) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}
