import { useState } from "react";
import { downloadUrl } from "../api";
import { fileSize } from "../format";
import { Icon } from "../ui/Icon";
import { makeRenditions, removeRendition, type Rendition } from "./api";
import type { FileProps } from "./MediaPage";
import { isMade, isMaking, renditionsToMake } from "./model";
import { VersionChoices } from "./VersionChoices";
import { renditionName } from "./words";

/** Smaller versions, and the stream whose quality follows the viewer's connection. */
export function Renditions({ file, act }: FileProps) {
  const offered = renditionsToMake(file);
  const shown = file.renditions.filter(({ status }) => status !== "cancelled");
  const [wanted, setWanted] = useState<readonly string[]>([]);
  const [busy, setBusy] = useState(false);
  const chosen = offered.filter((name) => wanted.includes(name));
  const make = async () => {
    setBusy(true);
    if (await act((key) => makeRenditions(key, file.id, chosen))) setWanted([]);
    setBusy(false);
  };
  return (
    <section className="card panel" aria-labelledby="renditions-heading">
      <h2 id="renditions-heading">Versions</h2>
      {shown.length > 0 && (
        <ul data-testid="renditions">
          {shown.map((one) => (
            <Row
              key={one.name}
              rendition={one}
              onRemove={() => void act((key) => removeRendition(key, file.id, one.name))}
            />
          ))}
        </ul>
      )}
      {offered.length > 0 && (
        <>
          <VersionChoices offered={offered} wanted={wanted} onWant={setWanted} />
          <button
            type="button"
            className="button"
            disabled={busy || chosen.length === 0 || file.status !== "ready"}
            data-testid="make-renditions"
            onClick={() => void make()}
          >
            {busy ? <span className="spinner" /> : <Icon name="film" />}
            Make
          </button>
        </>
      )}
    </section>
  );
}

function Row({ rendition, onRemove }: { rendition: Rendition; onRemove: () => void }) {
  const { name, status, progress, size, url, error } = rendition;
  const percent = Math.round(progress * 100);
  return (
    <li className="row-line" data-testid="rendition" data-name={name} data-status={status}>
      <div className="grow">
        {renditionName(name)}
        {isMaking(rendition) && (
          <>
            <span className="muted"> · {status === "queued" ? "waits" : `${percent} %`}</span>
            <progress value={percent} max={100} aria-label={`${renditionName(name)} made`} />
          </>
        )}
        {isMade(rendition) && size !== null && <span className="muted"> · {fileSize(size)}</span>}
        {status === "failed" && (
          <div className="render-error">{error ?? "It could not be made."}</div>
        )}
      </div>
      {isMade(rendition) && name !== "hls" && url !== null && (
        <a
          className="button quiet icon-only small"
          href={downloadUrl(url)}
          download=""
          title={`Download ${renditionName(name)}`}
        >
          <Icon name="download" />
          <span className="visually-hidden">Download {renditionName(name)}</span>
        </a>
      )}
      <button
        type="button"
        className="button quiet icon-only small"
        title={`${isMaking(rendition) ? "Cancel" : "Remove"} ${renditionName(name)}`}
        data-testid="remove-rendition"
        onClick={onRemove}
      >
        <Icon name={isMaking(rendition) ? "close" : "trash"} />
        <span className="visually-hidden">
          {isMaking(rendition) ? "Cancel" : "Remove"} {renditionName(name)}
        </span>
      </button>
    </li>
  );
}
