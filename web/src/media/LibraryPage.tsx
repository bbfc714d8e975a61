import "../styles/recordings.css";
import "../styles/media.css";
import { useState } from "react";
import type { Explained } from "../explain";
import { SignIn } from "../pages/SignIn";
import { Link } from "../router";
import { useLibraryToken } from "../state";
import { Frame } from "../ui/Frame";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import type { BatchAction, BatchOptions, MediaFile } from "./api";
import { changeAll, doneWords, problemsIn } from "./batch";
import { BatchBar, type BatchFailure, BatchFailures } from "./BatchBar";
import { explainMedia } from "./explain";
import { Filters } from "./Filters";
import { Loading, Nothing, Toast } from "./LibraryStates";
import { MediaCard } from "./MediaCard";
import { token } from "./me";
import { isNarrowed, type View } from "./model";
import { useMediaList } from "./useMediaList";

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

const FIRST: View = { filter: {}, order: "newest", deleted: false };
const NONE: ReadonlySet<string> = new Set();

interface Done {
  title: string;
  /** In the trash now, and can be brought back. */
  ids: string[];
}

function Library({ onRejected }: { onRejected: (why: Explained) => void }) {
  const [view, setView] = useState<View>(FIRST);
  const list = useMediaList(view, onRejected);
  const [picked, setPicked] = useState(NONE);
  const [busy, setBusy] = useState(false);
  const [done, setDone] = useState<Done | null>(null);
  const [failure, setFailure] = useState<BatchFailure | null>(null);
  const [refused, setRefused] = useState<Explained | null>(null);
  const { files, total, problem } = list;
  const chosen = files?.filter(({ id }) => picked.has(id)) ?? [];

  const show = (next: View) => {
    setView(next);
    setPicked(NONE);
    setDone(null);
    setFailure(null);
    setRefused(null);
  };
  const pick = (id: string, on: boolean) => {
    const next = new Set(picked);
    if (on) next.add(id);
    else next.delete(id);
    setPicked(next);
  };
  const change = async (
    ids: string[],
    action: BatchAction,
    options: BatchOptions = {},
    title?: string,
  ) => {
    const names = new Map(files?.map(({ id, filename }) => [id, filename]));
    setBusy(true);
    try {
      const results = await changeAll(await token(), ids, action, options);
      const problems = problemsIn(results).map((one) => ({
        ...one,
        name: names.get(one.id) ?? "",
      }));
      const changed = results.filter(({ success }) => success).map(({ id }) => id);
      setFailure(problems.length > 0 ? { action, problems, total: ids.length } : null);
      setDone(
        changed.length === 0
          ? null
          : {
              title: title ?? doneWords(action, changed.length),
              ids: action === "delete" ? changed : [],
            },
      );
      setRefused(null);
      if (action === "delete" || action === "restore") {
        setPicked(new Set(problems.map(({ id }) => id)));
      }
      list.refresh();
    } catch (error) {
      setRefused(explainMedia(error));
    }
    setBusy(false);
  };
  const one = (file: MediaFile, action: "delete" | "restore") => {
    const place = action === "delete" ? "in the trash" : "back in the library";
    void change([file.id], action, {}, `“${file.filename}” is ${place}`);
  };
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
        {!view.deleted && (isNarrowed(view) || total > 0) && (
          <Filters value={view} files={files ?? []} onChange={show} />
        )}
      </div>
      {problem && <Notice what={problem} />}
      {refused && <Notice what={refused} onDismiss={() => setRefused(null)} />}
      {failure && <BatchFailures failure={failure} onDismiss={() => setFailure(null)} />}
      {done && (
        <Toast title={done.title} onGone={() => setDone(null)}>
          {done.ids.length > 0 && (
            <button
              type="button"
              className="button small"
              onClick={() => void change(done.ids, "restore")}
            >
              Undo
            </button>
          )}
        </Toast>
      )}
      {files === null && !problem && <Loading />}
      {files?.length === 0 && <Nothing view={view} />}
      {files !== null && files.length > 0 && (
        <BatchBar
          files={files}
          chosen={chosen}
          deleted={view.deleted}
          busy={busy}
          onChoose={(all) => setPicked(all ? new Set(files.map(({ id }) => id)) : NONE)}
          onDo={(action, options) =>
            void change(
              chosen.map(({ id }) => id),
              action,
              options,
            )
          }
        />
      )}
      <ul className="media-grid" aria-label={view.deleted ? "Deleted files" : "Files"}>
        {files?.map((file) => (
          <MediaCard
            key={file.id}
            file={file}
            chosen={picked.has(file.id)}
            onChoose={(on) => pick(file.id, on)}
            onDelete={() => one(file, "delete")}
            onRestore={() => one(file, "restore")}
            onTag={(tag) => show({ ...view, filter: { ...view.filter, tag } })}
          />
        ))}
      </ul>
      {files !== null && files.length < total && (
        <div className="more">
          <button type="button" className="button" onClick={list.more}>
            Show more
          </button>
        </div>
      )}
    </Frame>
  );
}
