import { useCallback, useState } from "react";
import { recordingProgress, type RecordingProgress } from "../api";
import { usePolling } from "../state";
import { stageOf } from "./model";

/** How far the server is with a recording. The list itself notices when it is done. */
export function Progress({ id, token }: { id: string; token: string }) {
  const [now, setNow] = useState<RecordingProgress | null>(null);
  const poll = useCallback(
    async (signal: AbortSignal) => setNow(await recordingProgress(token, id, signal)),
    [id, token],
  );
  usePolling(poll, 1000);
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
