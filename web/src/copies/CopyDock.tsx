import { useEffect } from "react";
import { CopyList } from "./CopyList";
import { copies } from "./copies";
import { useCopies } from "./useCopies";

const SHOWN_MS = 8000;

/** In a corner of every page but a call's: what an earlier call has left to be sent. */
export default function CopyDock() {
  const shown = useCopies();
  const done = shown.filter(({ phase }) => phase === "done").map(({ id }) => id);
  const key = done.join(" ");
  useEffect(() => {
    if (key === "") return;
    const timer = window.setTimeout(
      () => key.split(" ").forEach((id) => copies.dismiss(id)),
      SHOWN_MS,
    );
    return () => window.clearTimeout(timer);
  }, [key]);
  if (shown.length === 0) return null;
  return (
    <aside className="copy-dock" aria-label="Recordings of this browser" data-testid="copy-dock">
      <CopyList shown={shown} />
    </aside>
  );
}
