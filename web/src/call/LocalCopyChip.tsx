import { useCallback, useRef, useState } from "react";
import { percentOf, refusalOf, savedOf, waitOf } from "../copies/words";
import type { Progress } from "../local-recorder";
import { storageRoom } from "../local-recorder";
import { usePolling } from "../state";
import { Check } from "../ui/Check";
import { Icon } from "../ui/Icon";
import { Panel } from "../ui/Panel";
import type { LocalCopy } from "./useLocalCopy";

/** The mark of a local recording, with how much of it is safe, and the switch behind it. */
export function LocalCopyChip({ copy }: { copy: LocalCopy }) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const close = useCallback(() => {
    setOpen(false);
    button.current?.focus();
  }, []);
  const { running, browsersOnly, wanted, want, progress } = copy;
  if (!running && progress === null) return null;
  const look = lookOf(copy);
  return (
    <div className="copy-mark">
      <button
        ref={button}
        type="button"
        className={`copy-chip ${look.tone}`}
        data-testid="local-copy"
        data-phase={wanted ? (progress?.phase ?? "starting") : "off"}
        aria-expanded={open}
        aria-label={look.label}
        title={look.label}
        onClick={() => setOpen(!open)}
      >
        <Icon name="laptop" />
        <span>{look.text}</span>
      </button>
      {open && (
        <Panel
          title="Your own recording"
          className="copy-panel"
          testId="local-copy-panel"
          onClose={close}
        >
          <LocalCopyCheck checked={wanted} browsersOnly={browsersOnly} onChange={want} />
          {progress !== null && <CopyState progress={progress} />}
        </Panel>
      )}
    </div>
  );
}

interface LocalCopyCheckProps {
  checked: boolean;
  browsersOnly?: boolean;
  onChange: (on: boolean) => void;
}

/** The choice, with what it means. */
export function LocalCopyCheck({ checked, browsersOnly, onChange }: LocalCopyCheckProps) {
  return (
    <div className="copy-check" data-testid="local-copy-check">
      <Check text="Record locally in best quality" checked={checked} onChange={onChange} />
      <p className="muted">
        This browser records your own camera, microphone and screen before the network can harm
        them, and sends that to the server meanwhile.
        {browsersOnly &&
          " Nothing else records this call: without it you are not in the recording."}
      </p>
    </div>
  );
}

function CopyState({ progress }: { progress: Progress }) {
  const low = useLowStorage();
  const refused = progress.phase === "refused";
  return (
    <div className="copy-state">
      <progress value={percentOf(progress)} max={100} aria-label="Saved on the server" />
      <p>
        {savedOf(progress)} saved on the server.{" "}
        <span role="status">{refused ? refusalOf(progress).advice : waitOf(progress)}</span>
      </p>
      {(low || progress.chunksInMemory > 0) && (
        <p className="copy-low" role="alert">
          This browser is nearly out of space. Keep this page open, and free some space on your
          device.
        </p>
      )}
    </div>
  );
}

const LOOK_MS = 10_000;

function useLowStorage(): boolean {
  const [low, setLow] = useState(false);
  const look = useCallback(async () => setLow((await storageRoom()).low), []);
  usePolling(look, LOOK_MS);
  return low;
}

function lookOf({ wanted, browsersOnly, progress }: LocalCopy): {
  tone: string;
  text: string;
  label: string;
} {
  if (!wanted && browsersOnly) {
    return { tone: "warn", text: "Not recorded", label: "You are not in the recording" };
  }
  if (!wanted) {
    return {
      tone: "",
      text: "Record locally",
      label: "Also record here, in best quality",
    };
  }
  if (progress === null) {
    return { tone: "", text: "Starting…", label: "Your own recording is starting" };
  }
  if (progress.phase === "refused") {
    return { tone: "warn", text: "Not accepted", label: refusalOf(progress).title };
  }
  const saved = savedOf(progress);
  const offline = progress.waiting === "network" || progress.waiting === "server";
  return {
    tone: offline || progress.chunksInMemory > 0 ? "warn" : "on",
    text: `${saved} saved`,
    label: `Your own recording: ${saved} saved. ${waitOf(progress) ?? ""}`.trim(),
  };
}
