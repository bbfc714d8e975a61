import { useState } from "react";
import type { Recording } from "../api";
import { duration } from "../format";
import { Icon } from "../ui/Icon";
import { reportOf, type TrackReport } from "./integrity";
import { fileNames, playable } from "./model";

/** What the server knows about how complete a recording is, for people who want to know. */
export function IntegrityPanel({ recording }: { recording: Recording }) {
  const report = reportOf(recording);
  if (report === null) return null;
  return (
    <section className="card panel" aria-labelledby="integrity-heading" data-testid="integrity">
      <div className="panel-title">
        <h2 id="integrity-heading">How complete it is</h2>
        <span className={`badge ${report.whole ? "ok" : "warn"}`} data-testid="complete">
          <Icon name={report.whole ? "check" : "alert"} />
          {report.headline}
        </span>
      </div>
      <p className="muted">{report.advice}</p>
      <dl className="facts-list">
        <dt>Sound and picture</dt>
        <dd>{report.offset}</dd>
        {report.failures.length > 0 && (
          <>
            <dt>What failed</dt>
            <dd>
              <ul>
                {report.failures.map((failure) => (
                  <li key={failure}>{failure}</li>
                ))}
              </ul>
            </dd>
          </>
        )}
      </dl>
      <ul className="tracks" aria-label="Tracks">
        {report.tracks.map((track) => (
          <Track key={track.key} track={track} />
        ))}
      </ul>
      <Hashes recording={recording} />
    </section>
  );
}

function Track({ track }: { track: TrackReport }) {
  return (
    <li className="track">
      <h3>
        {track.person}, {track.kind}
      </h3>
      <p className="muted">{track.packets}</p>
      {track.sizes && <p className="muted">{track.sizes}</p>}
      {track.flaws.length > 0 && (
        <ul className="flaws">
          {track.flaws.map((flaw, index) => (
            <li key={index} className={flaw.weight}>
              <span className="flaw-time">{duration(flaw.at)}</span> {flaw.text}
            </li>
          ))}
          {track.more > 0 && <li className="muted">and {track.more} more</li>}
        </ul>
      )}
    </li>
  );
}

function Hashes({ recording }: { recording: Recording }) {
  const names = fileNames(recording);
  const files = playable(recording).filter((file) => file.sha256);
  if (files.length === 0) return null;
  return (
    <details className="hashes">
      <summary>SHA-256 of the files</summary>
      <ul>
        {files.map((file) => (
          <li key={file.id}>
            <span className="truncate">{names.get(file.id)}</span>
            <code className="truncate">{file.sha256}</code>
            <CopyButton text={file.sha256} label={`Copy the hash of ${names.get(file.id)}`} />
          </li>
        ))}
      </ul>
    </details>
  );
}

function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      setCopied(false); // no permission: the hash is there to be selected
    }
  };
  return (
    <button
      type="button"
      className="button quiet icon-only small"
      title={label}
      aria-label={copied ? "Copied" : label}
      onClick={() => void copy()}
    >
      <Icon name={copied ? "check" : "copy"} />
    </button>
  );
}
