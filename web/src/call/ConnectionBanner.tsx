import type { CallPhase } from "./useCall";

interface ConnectionBannerProps {
  phase: CallPhase;
  onTryNow: () => void;
}

export function ConnectionBanner({ phase, onTryNow }: ConnectionBannerProps) {
  return (
    <div role="alert" className="connection-live">
      {phase.kind === "connecting" && <p className="connection calm">Connecting…</p>}
      {phase.kind === "reconnecting" && (
        <p className="connection" data-testid="connection-lost">
          <span className="spinner" />
          Connection lost. Reconnecting…
        </p>
      )}
      {phase.kind === "waiting" && (
        <p className="connection" data-testid="connection-lost">
          <span className="spinner" />
          <span>
            Connection lost. Trying again in {phase.seconds} s. Check your network if this goes on.
          </span>
          <button type="button" className="button small" onClick={onTryNow}>
            Try now
          </button>
        </p>
      )}
    </div>
  );
}
