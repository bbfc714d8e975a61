import "../styles/recordings.css";
import { useCallback, useEffect, useRef, useState } from "react";
import { deleteRecording, getRecording, type Recording, type RecordingFile } from "../api";
import { type Explained, explain, needsSignIn } from "../explain";
import { SignIn } from "../pages/SignIn";
import { Link, navigate } from "../router";
import { mayManage } from "../session";
import { useLibraryToken } from "../state";
import { Frame } from "../ui/Frame";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { DeleteDialog } from "./DeleteDialog";
import { FileList } from "./FileList";
import { save } from "./files";
import { IntegrityPanel } from "./IntegrityPanel";
import { LivePlayer } from "./live";
import { isActive, isUnderWay } from "./model";
import { RecordingPlayer } from "./player/RecordingPlayer";
import { Progress } from "./Progress";
import { Facts, StatusBadge } from "./RecordingHead";
import { Renders } from "./Renders";
import { useLiveStatus } from "./useLiveStatus";

/** One recording: to be watched, saved, judged and made into one video. */
export default function RecordingPage({ id }: { id: string }) {
  const { token, refused, reject } = useLibraryToken();
  if (token === null) {
    return (
      <SignIn
        problem={refused}
        title="Sign in to see this recording"
        lead="It opens with the sign-in link of the host, or after you joined its room by invite."
      />
    );
  }
  return (
    <Frame page="recordings">
      <Loaded key={token} id={id} token={token} onRejected={reject} />
    </Frame>
  );
}

interface LoadedProps {
  id: string;
  token: string;
  onRejected: (why: Explained) => void;
}

function Loaded({ id, token, onRejected }: LoadedProps) {
  const [recording, setRecording] = useState<Recording | null>(null);
  const [problem, setProblem] = useState<Explained | null>(null);
  const alive = useRef(true);

  const load = useCallback(async (): Promise<Recording | null> => {
    try {
      const fresh = await getRecording(token, id);
      if (alive.current) {
        setRecording(fresh);
        setProblem(null);
      }
      return fresh;
    } catch (error) {
      if (!alive.current) return null;
      if (needsSignIn(error)) onRejected(explain(error));
      else setProblem(explain(error));
      return null;
    }
  }, [token, id, onRejected]);
  useEffect(() => {
    alive.current = true;
    void load();
    return () => {
      alive.current = false;
    };
  }, [load]);
  const reload = useCallback(() => void load(), [load]);

  return (
    <>
      <Link to="/recordings" className="button quiet small to-library">
        <Icon name="left" />
        All recordings
      </Link>
      {problem && (
        <Notice what={problem}>
          <button type="button" className="button small" onClick={reload}>
            Try again
          </button>
        </Notice>
      )}
      {recording === null && !problem && <Skeleton />}
      {recording !== null && (
        <Shown recording={recording} token={token} load={load} reload={reload} />
      )}
    </>
  );
}

interface ShownProps {
  recording: Recording;
  token: string;
  load: () => Promise<Recording | null>;
  reload: () => void;
}

function Shown({ recording, token, load, reload }: ShownProps) {
  const { id, room } = recording;
  const [picked, setPicked] = useState<string | null>(null);
  const [problem, setProblem] = useState<Explained | null>(null);
  const now = useLiveStatus(id, token, isUnderWay(recording.status), reload);
  const status = now !== null && isUnderWay(recording.status) ? now.status : recording.status;
  const manages = mayManage(token, room);
  const top = useRef<HTMLDivElement>(null);
  const renew = useCallback(
    async (fileId: string): Promise<RecordingFile | null> =>
      (await load())?.files.find((file) => file.id === fileId) ?? null,
    [load],
  );
  const download = (fileId: string) =>
    void save(token, id, fileId).catch((error: unknown) => setProblem(explain(error)));
  const watch = (fileId: string) => {
    setPicked(fileId);
    top.current?.scrollIntoView({ block: "start" });
  };

  return (
    <div className="recording-page" ref={top} data-testid="recording-page" data-status={status}>
      <header className="recording-page-head">
        <div className="recording-title">
          <h1 className="truncate">{room}</h1>
          <StatusBadge status={status} />
        </div>
        <Facts recording={recording} />
      </header>
      {problem && <Notice what={problem} onDismiss={() => setProblem(null)} />}
      {isActive(status) && <LivePlayer recordingId={id} token={token} onEnded={reload} />}
      {isUnderWay(status) && !isActive(status) && (
        <div className="card panel">
          <Progress now={now} />
        </div>
      )}
      {status === "failed" && (
        <Notice
          tone="warn"
          what={{
            title: "This recording could not be finished",
            advice: recording.error ?? "The server’s log says why.",
          }}
        />
      )}
      {!isUnderWay(status) && (
        <>
          <RecordingPlayer recording={recording} picked={picked} onPick={setPicked} renew={renew} />
          <div className="recording-panels">
            <div className="recording-column">
              <Renders
                recording={recording}
                token={token}
                manages={manages}
                onWatch={watch}
                onSave={download}
                onChanged={reload}
              />
              <FileList recording={recording} onSave={download} />
              {manages && <DeleteButton {...{ id, room, token }} onProblem={setProblem} />}
            </div>
            <IntegrityPanel recording={recording} />
          </div>
        </>
      )}
    </div>
  );
}

interface DeleteButtonProps {
  id: string;
  room: string;
  token: string;
  onProblem: (what: Explained) => void;
}

function DeleteButton({ id, room, token, onProblem }: DeleteButtonProps) {
  const [asking, setAsking] = useState(false);
  const remove = async () => {
    try {
      await deleteRecording(token, id);
      navigate("/recordings", "replace");
    } catch (error) {
      onProblem(explain(error));
      setAsking(false);
    }
  };
  return (
    <>
      <button
        type="button"
        className="button quiet small delete"
        data-testid="delete"
        onClick={() => setAsking(true)}
      >
        <Icon name="trash" />
        Delete this recording
      </button>
      {asking && (
        <DeleteDialog
          room={room}
          onConfirm={() => void remove()}
          onCancel={() => setAsking(false)}
        />
      )}
    </>
  );
}

function Skeleton() {
  return (
    <div className="recording-page" role="status">
      <span className="visually-hidden">Loading the recording</span>
      <div className="skeleton" style={{ height: 40, width: "40%" }} />
      <div className="skeleton scene" />
    </div>
  );
}
