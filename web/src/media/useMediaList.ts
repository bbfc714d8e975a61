import { useCallback, useState } from "react";
import { type Explained, needsSignIn } from "../explain";
import { usePolling } from "../state";
import { listMedia, type MediaFile } from "./api";
import { explainMedia } from "./explain";
import { withKnownLinks } from "./links";
import { token } from "./me";
import { isWorking, merged, type View } from "./model";

const PAGE_SIZE = 24;
const BUSY_MS = 2500;
const IDLE_MS = 20_000;

interface Listing {
  files: MediaFile[];
  total: number;
  /** What was asked for, so that another view does not show these. */
  of: View;
}

interface MediaList {
  /** Null until they are known. */
  files: MediaFile[] | null;
  total: number;
  problem: Explained | null;
  /** One page more. */
  more: () => void;
  /** Something was changed: asks at once. */
  refresh: () => void;
}

/** The files of a view, a page or more of them, asked for again while the page is open. */
export function useMediaList(view: View, onRejected: (why: Explained) => void): MediaList {
  const [listing, setListing] = useState<Listing | null>(null);
  const [open, setOpen] = useState({ view, pages: 1 });
  const [problem, setProblem] = useState<Explained | null>(null);
  const [stale, setStale] = useState(0);
  const pages = open.view === view ? open.pages : 1;

  const load = useCallback(
    async (signal: AbortSignal) => {
      try {
        const key = await token();
        const wanted = Array.from({ length: pages }, (_, index) => index + 1);
        const answers = await Promise.all(
          wanted.map((page) => listMedia(key, page, PAGE_SIZE, view, signal)),
        );
        if (signal.aborted) return;
        const files = merged(answers.map((answer) => answer.items));
        setListing((before) => ({
          files: withKnownLinks(before?.files ?? [], files, Date.now() / 1000),
          total: answers[0]?.total ?? 0,
          of: view,
        }));
        setProblem(null);
      } catch (error) {
        if (signal.aborted) return;
        if (needsSignIn(error)) onRejected(explainMedia(error));
        else setProblem(explainMedia(error));
      }
    },
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `stale` asks for a new round
    [pages, view, stale, onRejected],
  );
  const busy = listing?.files.some((file) => isWorking(file, Date.now()));
  usePolling(load, busy ? BUSY_MS : IDLE_MS);
  const fits = listing?.of.deleted === view.deleted;
  return {
    files: fits ? listing.files : null,
    total: listing?.total ?? 0,
    problem,
    more: () => setOpen({ view, pages: pages + 1 }),
    refresh: () => setStale((count) => count + 1),
  };
}
