import "../styles/recordings.css";
import "../styles/media.css";
import { useEffect, useState, useSyncExternalStore } from "react";
import { SignIn } from "../pages/SignIn";
import { Link } from "../router";
import { session, useSession } from "../state";
import { Frame } from "../ui/Frame";
import { Icon } from "../ui/Icon";
import { DropZone } from "./DropZone";
import { type UploadLimits, uploadLimits } from "./api";
import { token, uploads } from "./me";
import { UploadRow } from "./UploadRow";
import { limitsWords, newsOf } from "./words";

export default function UploadPage() {
  useSession();
  const signedIn = session.libraryToken();
  if (signedIn === null) {
    return (
      <SignIn
        title="Sign in to upload"
        lead="Files belong to the person who uploads them. Open the sign-in link of the host, or join a call by invite first."
      />
    );
  }
  return <Uploads key={signedIn} />;
}

function Uploads() {
  const views = useSyncExternalStore(uploads.subscribe, uploads.views);
  const limits = useLimits();
  useEffect(() => void uploads.recall(), []);
  const done = views.filter((one) => one.stage === "done").length;
  return (
    <Frame page="media">
      <Link to="/media" className="button quiet small to-library">
        <Icon name="left" />
        All media
      </Link>
      <div className="page-head">
        <h1>Upload</h1>
        <p className="lead">
          Videos and sound for your media library. You may look at other pages meanwhile, as long as
          this tab stays open.
        </p>
      </div>
      <DropZone
        small={views.length > 0}
        hint={limits === null ? null : limitsWords(limits)}
        onFiles={(files) => uploads.add(files)}
      />
      <News />
      {views.length > 0 && (
        <section aria-labelledby="uploads-heading" className="uploads">
          <div className="panel-title">
            <h2 id="uploads-heading">
              {done === views.length ? "Uploaded" : `${done} of ${views.length} uploaded`}
            </h2>
            {done > 0 && (
              <button type="button" className="button quiet small" onClick={() => uploads.clear()}>
                Clear what is done
              </button>
            )}
          </div>
          <ul className="upload-list">
            {views.map((view) => (
              <UploadRow key={view.id} view={view} queue={uploads} />
            ))}
          </ul>
        </section>
      )}
    </Frame>
  );
}

/** Null until they are known; without them all goes as well, and the server refuses what it must. */
function useLimits(): UploadLimits | null {
  const [limits, setLimits] = useState<UploadLimits | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    token()
      .then((key) => uploadLimits(key, abort.signal))
      .then((found) => {
        uploads.allow(found.atOnce);
        setLimits(found);
      })
      .catch(() => undefined);
    return () => abort.abort();
  }, []);
  return limits;
}

/** Says what was finished or refused to those who don't see the list. */
function News() {
  const views = useSyncExternalStore(uploads.subscribe, uploads.views);
  const [told, setTold] = useState(views);
  const [words, setWords] = useState("");
  if (told !== views) {
    const news = newsOf(told, views);
    setTold(views);
    if (news !== "") setWords(news);
  }
  return (
    <p className="visually-hidden" role="status">
      {words}
    </p>
  );
}
