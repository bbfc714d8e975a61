/** The one session of this page and hooks on what changes with time. */

import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { Explained } from "./explain";
import { roomPath } from "./route";
import { navigate } from "./router";
import { Session } from "./session";

export const session = new Session(localStorage, sessionStorage, Date.now);

/** Draws the component again whenever the session changes. */
export function useSession(): Session {
  useSyncExternalStore(session.subscribe, session.version);
  return session;
}

/** The token that opens the pages of what is kept, null without one. `reject` signs out, and `refused`
 * says why from then on. */
export function useLibraryToken() {
  useSession();
  const [refused, setRefused] = useState<Explained | null>(null);
  const reject = useCallback((why: Explained) => {
    setRefused(why);
    session.signOut();
  }, []);
  return { token: session.libraryToken(), refused, reject };
}

/** Takes the token or invite out of the address, so that neither stays in history or on screen. */
export function landOnLink(): void {
  const landing = session.land(location.hash);
  if (landing === null) return;
  if (landing.path === "room") navigate(roomPath(landing.room), "replace");
  else navigate(location.pathname, "replace");
}

/** Runs `poll` now and then again `everyMs` after each end, while the page is visible. */
export function usePolling(poll: (signal: AbortSignal) => Promise<void>, everyMs: number | null) {
  useEffect(() => {
    const abort = new AbortController();
    let timer: number | undefined;
    const round = async () => {
      window.clearTimeout(timer);
      if (!document.hidden) await poll(abort.signal).catch(() => undefined);
      if (!abort.signal.aborted && everyMs !== null) timer = window.setTimeout(round, everyMs);
    };
    const onShow = () => {
      if (!document.hidden && everyMs !== null) void round();
    };
    void round();
    document.addEventListener("visibilitychange", onShow);
    return () => {
      abort.abort();
      window.clearTimeout(timer);
      document.removeEventListener("visibilitychange", onShow);
    };
  }, [poll, everyMs]);
}
