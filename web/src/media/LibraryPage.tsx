import "../styles/recordings.css";
import "../styles/media.css";
import { useCallback, useEffect, useState } from "react";
import { type Explained, needsSignIn } from "../explain";
import { SignIn } from "../pages/SignIn";
import { Link } from "../router";
import { useLibraryToken, usePolling } from "../state";
import { Frame } from "../ui/Frame";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { deleteMedia, listMedia, type MediaFile, restoreMedia } from "./api";
import { explainMedia } from "./explain";
import { Filters } from "./Filters";
import { withKnownLinks } from "./links";
import { MediaCard } from "./MediaCard";
import { token } from "./me";
import { isNarrowed, isWorking, merged, type View } from "./model";

const PAGE_SIZE = 24;
const BUSY_MS = 2500;
const IDLE_MS = 20_000;

export default function LibraryPage() {
  const { token: signedIn, refused, reject } = useLibraryToken();
  if (signedIn === null) {
    return (
      <SignIn
        problem={refused}
        title="Sign in to see your media"
        lead="Files belong to the person who uploaded them. Open the sign-in link of the host, or join a call by invite first."
      />
    );
  }
  return <Library key={signedIn} onRejected={reject} />;
}

interface Listing {
  files: MediaFile[];
  total: number;
  /** What was asked for, so that another view does not show these. */
  of: View;
}

const FIRST: View = { filter: {}, order: "newest", deleted: false };

function Library({ onRejected }: { onRejected: (why: Explained) => void }) {
  const [listing, setListing] = useState<Listing | null>(null);
  const [view, setView] = useState<View>(FIRST);
  const [pages, setPages] = useState(1);
  const [problem, setProblem] = useState<Explained | null>(null);
  const [undo, setUndo] = useState<MediaFile | null>(null);
  const [stale, setStale] = useState(0);

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

  const show = (next: View) => {
    setView(next);
    setPages(1);
    setUndo(null);
  };
  const change = async (file: MediaFile, how: "delete" | "restore") => {
    try {
      const key = await token();
      if (how === "delete") await deleteMedia(key, file.id);
      else await restoreMedia(key, file.id);
      setUndo(how === "delete" ? file : null);
      setProblem(null);
      setStale((count) => count + 1);
    } catch (error) {
      setProblem(explainMedia(error));
    }
  };
  const files = listing?.of === view || listing?.of.deleted === view.deleted ? listing.files : null;
  return (
    <Frame page="media">
      <div className="page-head">
        <div className="media-title">
          <h1>{view.deleted ? "Trash" : "Media"}</h1>
          <div className="row">
            <button
              type="button"
              className="button"
              data-testid="show-trash"
              onClick={() => show({ ...FIRST, deleted: !view.deleted })}
            >
              <Icon name={view.deleted ? "left" : "trash"} />
              {view.deleted ? "All media" : "Trash"}
            </button>
            <Link to="/upload" className="button primary" testId="to-upload">
              <Icon name="upload" />
              Upload
            </Link>
          </div>
        </div>
        <p className="lead">
          {view.deleted
            ? "Deleted files are kept for a while, then removed for good."
            : "Videos and sound that you uploaded. They are yours alone."}
        </p>
        {!view.deleted && (isNarrowed(view) || (listing?.total ?? 0) > 0) && (
          <Filters value={view} files={files ?? []} onChange={show} />
        )}
      </div>
      {problem && <Notice what={problem} />}
      {undo && (
        <Undo
          file={undo}
          onUndo={() => void change(undo, "restore")}
          onGone={() => setUndo(null)}
        />
      )}
      {files === null && !problem && <Loading />}
      {files?.length === 0 && <Nothing view={view} />}
      <ul className="media-grid" aria-label={view.deleted ? "Deleted files" : "Files"}>
        {files?.map((file) => (
          <MediaCard
            key={file.id}
            file={file}
            onDelete={() => void change(file, "delete")}
            onRestore={() => void change(file, "restore")}
            onTag={(tag) => show({ ...view, filter: { ...view.filter, tag } })}
          />
        ))}
      </ul>
      {listing !== null && files !== null && files.length < listing.total && (
        <div className="more">
          <button type="button" className="button" onClick={() => setPages(pages + 1)}>
            Show more
          </button>
        </div>
      )}
    </Frame>
  );
}

const UNDO_MS = 15_000;

interface UndoProps {
  file: MediaFile;
  onUndo: () => void;
  onGone: () => void;
}

function Undo({ file, onUndo, onGone }: UndoProps) {
  useEffect(() => {
    const timer = window.setTimeout(onGone, UNDO_MS);
    return () => window.clearTimeout(timer);
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the time runs from the deletion
  }, [file]);
  return (
    <div className="undo" data-testid="undo">
      <Notice
        tone="info"
        what={{ title: `“${file.filename}” is in the trash`, advice: "" }}
        onDismiss={onGone}
      >
        <button type="button" className="button small" onClick={onUndo}>
          Undo
        </button>
      </Notice>
    </div>
  );
}

function Loading() {
  return (
    <div className="media-grid" role="status">
      <span className="visually-hidden">Loading media</span>
      {[0, 1, 2, 3].map((index) => (
        <div key={index} className="card media-card">
          <div className="skeleton media-poster" />
          <div className="skeleton" style={{ height: 20, width: "70%", margin: "14px 16px 0" }} />
          <div className="skeleton" style={{ height: 16, width: "45%", margin: "8px 16px 18px" }} />
        </div>
      ))}
    </div>
  );
}

function Nothing({ view }: { view: View }) {
  if (view.deleted) {
    return (
      <div className="empty large" data-testid="trash-empty">
        <Icon name="trash" />
        <strong>The trash is empty</strong>
        <span>What you delete can be restored from here for a while.</span>
      </div>
    );
  }
  if (isNarrowed(view)) {
    return (
      <div className="empty" data-testid="no-match">
        <Icon name="film" />
        <strong>No file matches</strong>
        <span>Choose another type, tag or word.</span>
      </div>
    );
  }
  return (
    <div className="empty large" data-testid="no-media">
      <Icon name="film" />
      <strong>No media yet</strong>
      <span>
        Upload a video or a sound file. It shows up here as soon as the server has looked into it.
      </span>
      <Link to="/upload" className="button primary">
        Upload files
      </Link>
    </div>
  );
}
