import type { RecordingProgress } from "../api";
import { stageOf } from "./model";

/** How far the server is with a recording that has ended. */
export function Progress({ now }: { now: RecordingProgress | null }) {
  const { does, waits, percent } = stageOf(now);
  return (
    <div className="progress">
      <progress value={percent} max={100} aria-label={does} />
      <span className="muted" data-testid="stage">
        {does}… {percent} %
      </span>
      {waits && (
        <p className="muted waits" data-testid="waits">
          {waits}
        </p>
      )}
    </div>
  );
}
