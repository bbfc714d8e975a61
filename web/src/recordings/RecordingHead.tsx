import type { Recording, RecordingStatus } from "../api";
import { duration, fileSize, moment, people } from "../format";
import { badgeOf, peopleIn } from "./model";

export function StatusBadge({ status }: { status: RecordingStatus }) {
  const badge = badgeOf(status);
  return (
    <span className={`badge ${badge.tone}`} data-testid="status-badge">
      {badge.pulsing && <span className="dot pulsing" />}
      {badge.text}
    </span>
  );
}

/** When it was, how long, who, how large. */
export function Facts({ recording }: { recording: Recording }) {
  const count = peopleIn(recording);
  const facts = [
    recording.durationSeconds === null ? null : duration(recording.durationSeconds),
    count === null ? null : people(count),
    recording.size === null ? null : fileSize(recording.size),
  ].filter((fact) => fact !== null);
  return (
    <p className="muted facts-line">
      <time dateTime={recording.startedAt ?? undefined}>
        {moment(recording.startedAt, new Date())}
      </time>
      {facts.length > 0 && <span className="facts">{facts.join(" · ")}</span>}
    </p>
  );
}
