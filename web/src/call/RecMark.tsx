import type { Room } from "livekit-client";
import { useRecordingFlag } from "./hooks";

/** The mark that everyone sees while the call is recorded; said aloud when it comes and goes. */
export function RecMark({ room }: { room: Room }) {
  const recording = useRecordingFlag(room);
  return (
    <span className="rec-live" role="status" aria-live="polite">
      {recording && (
        <span className="rec-mark" data-testid="rec-mark" title="This call is being recorded">
          <span className="dot pulsing" />
          <span aria-hidden="true">REC</span>
          <span className="visually-hidden">This call is being recorded</span>
        </span>
      )}
    </span>
  );
}
