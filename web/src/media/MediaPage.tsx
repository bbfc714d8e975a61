import "../styles/recordings.css";
import "../styles/media.css";
import { useCallback, useState } from "react";
import { downloadUrl } from "../api";
import { type Explained, needsSignIn } from "../explain";
import { moment } from "../format";
import { SignIn } from "../pages/SignIn";
import { Link, navigate } from "../router";
import { useLibraryToken, usePolling } from "../state";
import { Frame } from "../ui/Frame";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { deleteMedia, getMedia, type MediaFile, restoreMedia } from "./api";
import { Attachments } from "./Attachments";
import { Captions } from "./Captions";
import { Details } from "./Details";
import { explainMedia } from "./explain";
import { withKnownLinks } from "./links";
import { StatusBadge } from "./MediaCard";
import { MediaPlayer } from "./MediaPlayer";
import { token } from "./me";
import { isWorking } from "./model";
import { mediaPath } from "../route";
import { NameDialog } from "./NameDialog";
import { Renditions } from "./Renditions";
import { Tags } from "./Tags";

const BUSY_MS = 1500;

export default function MediaPage({ id }: { id: string }) {
  const { token: signedIn, refused, reject } = useLibraryToken();
  if (signedIn === null) return <SignIn problem={refused} title="Sign in to see this file" />;
  return <OneFile key={signedIn} id={id} onRejected={reject} />;
}

interface OneFileProps {
  id: string;
  onRejected: (why: Explained) => void;
}

function OneFile({ id, onRejected }: OneFileProps) {
  const [file, keepFile] = useState<MediaFile | null>(null);
  const setFile = useCallback((found: MediaFile) => {
    keepFile((old) => withKnownLinks(old ? [old] : [], [found], Date.now() / 1000)[0] ?? found);
  }, []);
  const [problem, setProblem] = useState<Explained | null>(null);
  const load = useCallback(
    async (signal: AbortSignal) => {
      try {
        const found = await getMedia(await token(), id, signal);
        if (signal.aborted) return;
        setFile(found);
        setProblem(null);
      } catch (error) {
        if (signal.aborted) return;
        if (needsSignIn(error)) onRejected(explainMedia(error));
        else setProblem(explainMedia(error));
      }
    },
    [id, onRejected, setFile],
  );
  // when nothing goes on there is nothing to ask again: links that expired are renewed as they fail
  usePolling(load, file === null || isWorking(file, Date.now()) ? BUSY_MS : null);

  /** Does something to the file and shows what became of it. */
  const act = useCallback(
    async (what: (key: string) => Promise<unknown>): Promise<boolean> => {
      try {
        const key = await token();
        await what(key);
        setFile(await getMedia(key, id));
        setProblem(null);
        return true;
      } catch (error) {
        setProblem(explainMedia(error));
        return false;
      }
    },
    [id, setFile],
  );
  return (
    <Frame page="media">
      <Link to="/media" className="button quiet small to-library">
        <Icon name="left" />
        All media
      </Link>
      {problem && <Notice what={problem} onDismiss={file ? () => setProblem(null) : undefined} />}
      {file === null && !problem && <Loading />}
      {file?.deletedAt && (
        <Notice
          tone="warn"
          what={{
            title: "This file is in the trash",
            advice: "It is kept for a while, then removed for good.",
          }}
        >
          <button
            type="button"
            className="button small"
            data-testid="restore"
            onClick={() => void act((key) => restoreMedia(key, id))}
          >
            Restore
          </button>
        </Notice>
      )}
      {file && <Shown file={file} act={act} />}
    </Frame>
  );
}

export interface FileProps {
  file: MediaFile;
  /** Runs a request with a token, then loads the file again; false when it was refused. */
  act: (what: (key: string) => Promise<unknown>) => Promise<boolean>;
}

function Shown({ file, act }: FileProps) {
  const [naming, setNaming] = useState(false);
  const deleted = file.deletedAt !== null;
  const remove = async () => {
    if (await act((key) => deleteMedia(key, file.id))) navigate("/media");
  };
  return (
    <div className="recording-page" data-testid="media-page" data-status={file.status}>
      <div className="recording-page-head">
        <div className="recording-title">
          <h1 className="media-name" dir="auto">
            {file.filename}
          </h1>
          <StatusBadge file={file} />
        </div>
        <p className="muted facts-line">
          <span>{moment(file.createdAt, new Date())}</span>
          <span>{viewsWords(file.views)}</span>
        </p>
      </div>
      {file.duplicateOf !== null && (
        <Notice
          tone="info"
          what={{ title: "You have this file twice", advice: "The content of both is the same." }}
        >
          <Link to={mediaPath(file.duplicateOf)} className="button small">
            Open the other
          </Link>
        </Notice>
      )}
      {file.error !== null && (
        <Notice
          tone="warn"
          what={{ title: "Not all could be made of this file", advice: file.error }}
        />
      )}
      {!deleted && <MediaPlayer file={file} />}
      {!deleted && (
        <div className="row media-actions">
          <button
            type="button"
            className="button"
            data-testid="download"
            onClick={() => void act((key) => save(key, file.id))}
          >
            <Icon name="download" />
            Download
          </button>
          <button
            type="button"
            className="button"
            data-testid="rename"
            onClick={() => setNaming(true)}
          >
            <Icon name="pencil" />
            Rename
          </button>
          <button
            type="button"
            className="button quiet"
            data-testid="delete"
            onClick={() => void remove()}
          >
            <Icon name="trash" />
            Delete
          </button>
        </div>
      )}
      <div className="recording-panels">
        <div className="recording-column">
          <Details file={file} />
          {!deleted && <Attachments file={file} act={act} />}
        </div>
        {!deleted && (
          <div className="recording-column">
            <Tags file={file} act={act} />
            <Captions file={file} act={act} />
            <Renditions file={file} act={act} />
          </div>
        )}
      </div>
      {naming && <NameDialog file={file} act={act} onClose={() => setNaming(false)} />}
    </div>
  );
}

async function save(key: string, id: string): Promise<void> {
  const { url } = await getMedia(key, id); // a fresh link
  if (url === null) return;
  const link = document.createElement("a");
  link.href = downloadUrl(url);
  link.download = "";
  link.click();
}

function viewsWords(views: number): string {
  if (views === 0) return "Not played yet";
  return views === 1 ? "Played once" : `Played ${views} times`;
}

function Loading() {
  return (
    <div className="recording-page" role="status">
      <span className="visually-hidden">Loading the file</span>
      <div className="skeleton" style={{ height: 32, width: "50%" }} />
      <div className="skeleton media-screen" />
    </div>
  );
}
