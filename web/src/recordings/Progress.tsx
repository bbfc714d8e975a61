import { useCallback, useState } from "react";
import { recordingProgress } from "../api";
import { usePolling } from "../state";

/** How far the server is with a recording. The list itself notices when it is done. */
export function Progress({ id, token }: { id: string; token: string }) {
  const [done, setDone] = useState(0);
  const poll = useCallback(
    async (signal: AbortSignal) => {
      const { progress } = await recordingProgress(token, id, signal);
      setDone(Math.round(Math.min(1, Math.max(0, progress ?? 0)) * 100));
    },
    [id, token],
  );
  usePolling(poll, 1000);
  return (
    <div className="progress">
      <progress value={done} max={100} aria-label="Processing" />
      <span className="muted">Putting the files together… {done} %</span>
    </div>
  );
}
