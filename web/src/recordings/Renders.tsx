import { useCallback, useState } from "react";
import { cancelRender, type Recording, recordingProgress, type Render } from "../api";
import { type Explained, explain } from "../explain";
import { moment } from "../format";
import { usePolling } from "../state";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { RenderDialog } from "./RenderDialog";
import { isMaking, percentOf, stateOf, titleOf } from "./renders";

interface RendersProps {
  recording: Recording;
  token: string;
  manages: boolean;
  onWatch: (fileId: string) => void;
  onSave: (fileId: string) => void;
  /** A video is done, or gone: the recording's files have changed. */
  onChanged: () => void;
}

const MS = 1000;

/** Videos that were, or are being, made of the whole recording. */
export function Renders({ recording, token, manages, onWatch, onSave, onChanged }: RendersProps) {
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState<Explained | null>(null);
  const [renders, setRenders] = useState<Render[]>(recording.renders ?? []);
  const making = renders.some(isMaking);
  const { id } = recording;

  const load = useCallback(
    async (signal?: AbortSignal) => {
      // the status tells of renders to everybody who may watch, not to hosts alone
      const fresh = (await recordingProgress(token, id, signal)).renders ?? [];
      setRenders((before) => {
        if (before.filter(isMaking).length > fresh.filter(isMaking).length) onChanged();
        return fresh;
      });
    },
    [token, id, onChanged],
  );
  const poll = useCallback(
    async (signal: AbortSignal) => {
      if (making) await load(signal);
    },
    [making, load],
  );
  usePolling(poll, making ? MS : null);

  const cancel = async (render: Render) => {
    try {
      await cancelRender(token, id, render.id);
      await load();
    } catch (error) {
      setProblem(explain(error));
    }
  };

  if (!manages && renders.length === 0) return null;
  return (
    <section className="card panel" aria-labelledby="renders-heading" data-testid="renders">
      <div className="panel-title">
        <h2 id="renders-heading">One video of everybody</h2>
        {manages && (
          <button
            type="button"
            className="button small"
            onClick={() => setAsking(true)}
            data-testid="make-video"
          >
            <Icon name="film" />
            Make one video
          </button>
        )}
      </div>
      {renders.length === 0 && (
        <p className="muted">
          People are recorded in files of their own. They can be put side by side in one video at
          any time.
        </p>
      )}
      <ul className="rows">
        {[...renders].reverse().map((render) => (
          <RenderRow
            key={render.id}
            render={render}
            there={recording.files.some((file) => file.id === render.fileId)}
            onCancel={manages ? () => void cancel(render) : null}
            onWatch={onWatch}
            onSave={onSave}
          />
        ))}
      </ul>
      {problem && <Notice what={problem} onDismiss={() => setProblem(null)} />}
      {asking && (
        <RenderDialog
          recording={recording}
          token={token}
          onStarted={() => {
            setAsking(false);
            load().catch((error: unknown) => setProblem(explain(error)));
          }}
          onClose={() => setAsking(false)}
        />
      )}
    </section>
  );
}

interface RenderRowProps {
  render: Render;
  there: boolean;
  onCancel: (() => void) | null;
  onWatch: (fileId: string) => void;
  onSave: (fileId: string) => void;
}

function RenderRow({ render, there, onCancel, onWatch, onSave }: RenderRowProps) {
  const { fileId } = render;
  const title = titleOf(render.options);
  return (
    <li className="row-line" data-testid="render" data-status={render.status}>
      <div className="file-words">
        <div className="truncate">{title}</div>
        <div className="muted">
          {isMaking(render)
            ? `${stateOf(render)}… ${percentOf(render)} %`
            : `${stateOf(render)} · ${moment(render.finishedAt ?? render.createdAt, new Date())}`}
        </div>
        {isMaking(render) && (
          <progress
            value={percentOf(render)}
            max={100}
            aria-label={`${title}: ${stateOf(render)}`}
          />
        )}
        {render.status === "failed" && (
          <div className="render-error">{render.error ?? "The server’s log says why."}</div>
        )}
      </div>
      {isMaking(render) && onCancel && (
        <button type="button" className="button small" onClick={onCancel}>
          Cancel
        </button>
      )}
      {fileId !== null && there && (
        <>
          <button
            type="button"
            className="button icon-only small"
            title={`Watch ${title}`}
            aria-label={`Watch ${title}`}
            onClick={() => onWatch(fileId)}
          >
            <Icon name="play" />
          </button>
          <button
            type="button"
            className="button icon-only small"
            title={`Download ${title}`}
            aria-label={`Download ${title}`}
            onClick={() => onSave(fileId)}
          >
            <Icon name="download" />
          </button>
        </>
      )}
    </li>
  );
}
