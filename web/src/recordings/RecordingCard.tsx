import { useState } from "react";
import { deleteRecording, type Recording } from "../api";
import { type Explained, explain } from "../explain";
import { recordingPath } from "../route";
import { Link } from "../router";
import { mayManage } from "../session";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { DeleteDialog } from "./DeleteDialog";
import { FileRow } from "./FileRow";
import { freshFile, save } from "./files";
import { fileNames, isActive, isUnderWay, playable, posterOf } from "./model";
import { Player } from "./Player";
import { Progress } from "./Progress";
import { Facts, StatusBadge } from "./RecordingHead";
import { useLiveStatus } from "./useLiveStatus";

interface RecordingCardProps {
  recording: Recording;
  token: string;
  /** Whether to follow its state by a stream of its own: a browser has only a few to spare. */
  followed: boolean;
  onDeleted: () => void;
  onChanged: () => void;
}

const ROWS = 4;

export function RecordingCard(props: RecordingCardProps) {
  const { recording, token, followed, onDeleted, onChanged } = props;
  const [playing, setPlaying] = useState<string | null>(null);
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState<Explained | null>(null);
  const { id } = recording;
  const now = useLiveStatus(id, token, followed && isUnderWay(recording.status), onChanged);
  const status = now !== null && isUnderWay(recording.status) ? now.status : recording.status;
  const files = playable(recording);
  const names = fileNames(recording);

  const freshUrl = async (fileId: string): Promise<string | null> => {
    try {
      const file = await freshFile(token, id, fileId);
      setProblem(null);
      return file?.url ?? null;
    } catch (error) {
      setProblem(explain(error));
      return null;
    }
  };
  const remove = async () => {
    try {
      await deleteRecording(token, id);
      onDeleted();
    } catch (error) {
      setProblem(explain(error));
    } finally {
      setAsking(false);
    }
  };

  return (
    <li
      className={`card recording ${playing ? "open" : ""}`}
      data-testid="recording-card"
      data-id={id}
      data-status={status}
    >
      {playing === null && <Poster recording={recording} live={isActive(status)} />}
      <div className="recording-head">
        <div className="recording-title">
          <h2 className="truncate">
            <Link to={recordingPath(id)}>{recording.room}</Link>
          </h2>
          <StatusBadge status={status} />
        </div>
        <Facts recording={recording} />
      </div>
      {isUnderWay(status) && !isActive(status) && <Progress now={now} />}
      {status === "failed" && (
        <Notice
          tone="warn"
          what={{
            title: "This recording could not be finished",
            advice: recording.error ?? "The server’s log says why.",
          }}
        />
      )}
      {playing !== null && (
        <Player
          key={playing}
          label={names.get(playing) ?? recording.room}
          getUrl={() => freshUrl(playing)}
        />
      )}
      <ul className="files" aria-label="Files">
        {files.slice(0, ROWS).map((file) => (
          <FileRow
            key={file.id}
            file={file}
            name={names.get(file.id) ?? file.id}
            playing={playing === file.id}
            onPlay={() => setPlaying(playing === file.id ? null : file.id)}
            onDownload={() => void save(token, id, file.id).catch((e) => setProblem(explain(e)))}
          />
        ))}
      </ul>
      {problem && <Notice what={problem} onDismiss={() => setProblem(null)} />}
      <div className="recording-foot">
        <Link to={recordingPath(id)} className="button small" testId="open-recording">
          {openWords(recording, isActive(status), files.length)}
        </Link>
        {!isUnderWay(status) && mayManage(token, recording.room) && (
          <button
            type="button"
            className="button quiet small delete"
            data-testid="delete"
            onClick={() => setAsking(true)}
          >
            <Icon name="trash" />
            Delete
          </button>
        )}
      </div>
      {asking && (
        <DeleteDialog
          room={recording.room}
          onConfirm={() => void remove()}
          onCancel={() => setAsking(false)}
        />
      )}
    </li>
  );
}

function openWords(recording: Recording, active: boolean, files: number): string {
  if (active) return "Watch now";
  if (recording.status !== "recorded" || files === 0) return "Open";
  return files > ROWS ? `Watch all ${files} files together` : "Watch";
}

/** A picture of the recording, which leads to it. */
function Poster({ recording, live }: { recording: Recording; live: boolean }) {
  const [missing, setMissing] = useState(false);
  const poster = missing ? null : posterOf(recording);
  return (
    <Link to={recordingPath(recording.id)} className="poster" label={`Open ${recording.room}`}>
      {poster === null ? (
        <Icon name={live ? "camera" : "film"} />
      ) : (
        <img
          src={poster}
          alt=""
          loading="lazy"
          data-testid="poster"
          onError={() => setMissing(true)}
        />
      )}
    </Link>
  );
}
