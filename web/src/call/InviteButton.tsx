import { useCallback, useEffect, useRef, useState } from "react";
import { createInvite } from "../api";
import { type Explained, explain } from "../explain";
import { session } from "../state";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";

type Invite =
  | { state: "closed" }
  | { state: "making" }
  | { state: "ready"; url: string; copied: boolean }
  | { state: "failed"; why: Explained };

/** Makes an invite link and copies it. The panel does not block the call behind it. */
export function InviteButton({ room }: { room: string }) {
  const [invite, setInvite] = useState<Invite>({ state: "closed" });
  const button = useRef<HTMLButtonElement>(null);

  const make = async () => {
    if (invite.state === "making") return;
    if (invite.state === "ready") return setInvite({ state: "closed" });
    setInvite({ state: "making" });
    try {
      const { url } = await createInvite(session.tokenFor(room) ?? "", room);
      setInvite({ state: "ready", url, copied: await copy(url) });
    } catch (error) {
      setInvite({ state: "failed", why: explain(error) });
    }
  };
  const close = useCallback(() => {
    setInvite({ state: "closed" });
    button.current?.focus();
  }, []);
  const open = invite.state === "ready" || invite.state === "failed";
  useEffect(() => {
    if (!open) return;
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape") close();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [open, close]);

  return (
    <div className="invite">
      <button
        ref={button}
        type="button"
        className="button small"
        data-testid="copy-invite"
        aria-label="Copy invite link"
        aria-expanded={open}
        aria-busy={invite.state === "making"}
        onClick={() => void make()}
      >
        {invite.state === "making" ? <span className="spinner" /> : <Icon name="link" />}
        <span className="wide-only">Invite</span>
      </button>
      {invite.state === "ready" && (
        <InvitePanel
          url={invite.url}
          copied={invite.copied}
          onCopy={async () => setInvite({ ...invite, copied: await copy(invite.url) })}
          onClose={close}
        />
      )}
      {invite.state === "failed" && (
        <div className="invite-panel card">
          <Notice what={invite.why} onDismiss={close} />
        </div>
      )}
    </div>
  );
}

interface InvitePanelProps {
  url: string;
  copied: boolean;
  onCopy: () => void;
  onClose: () => void;
}

function InvitePanel({ url, copied, onCopy, onClose }: InvitePanelProps) {
  return (
    <section className="invite-panel card" aria-label="Invite link">
      <div className="panel-head">
        <h2>{copied ? "Invite link copied" : "Invite link"}</h2>
        <button type="button" className="button quiet icon-only small" onClick={onClose}>
          <Icon name="close" />
          <span className="visually-hidden">Close</span>
        </button>
      </div>
      <p className="muted" role="status">
        {copied
          ? "Send it to the people you want in this call. It works for 24 hours."
          : "Copy this address and send it. It works for 24 hours."}
      </p>
      <div className="copy-row">
        <input
          className="input"
          readOnly
          value={url}
          data-testid="invite-url"
          aria-label="Invite link"
          onFocus={(event) => event.target.select()}
        />
        <button type="button" className="button" onClick={onCopy}>
          <Icon name={copied ? "check" : "copy"} />
          {copied ? "Copied" : "Copy"}
        </button>
      </div>
    </section>
  );
}

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // no permission or no secure page: the address is there to be selected
  }
}
