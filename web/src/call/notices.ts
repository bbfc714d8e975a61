import { useCallback, useRef, useState } from "react";
import type { Explained } from "../explain";

export interface CallNotice {
  id: number;
  tone: "info" | "error";
  what: Explained;
}

const SHOWN = 3;
const INFO_MS = 7000;

/** Short messages over the call. Newer news replaces older; nothing is said twice. */
export function useNotices() {
  const [notices, setNotices] = useState<CallNotice[]>([]);
  const last = useRef(0);
  const dismiss = useCallback((id: number) => {
    setNotices((all) => all.filter((one) => one.id !== id));
  }, []);
  const add = useCallback(
    (tone: CallNotice["tone"], what: Explained) => {
      last.current += 1;
      const id = last.current;
      setNotices((all) => {
        const others = all.filter(
          (one) => one.what.title !== what.title && (one.tone === "error" || tone === "error"),
        );
        return [...others, { id, tone, what }].slice(-SHOWN);
      });
      if (tone === "info") window.setTimeout(() => dismiss(id), INFO_MS);
    },
    [dismiss],
  );
  return { notices, add, dismiss };
}
