import { useState } from "react";
import { deleteRecording, downloadUrl, getRecording, type Recording } from "../api";
import { type Explained, explain } from "../explain";
import { duration, fileSize, moment, people } from "../format";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { DeleteDialog } from "./DeleteDialog";
import { FileRow } from "./FileRow";
import { badgeOf, fileNames, isActive, isUnderWay, peopleIn, playable } from "./model";
import { Player } from "./Player";
import { Progress } from "./Progress";

interface RecordingCardProps {
  recording: Recording;
  token: string;
  onDeleted: () => void;
}

export function RecordingCard({ recording, token, onDeleted }: RecordingCardProps) {
  const [playing, setPlaying] = useState<string | null>(null);
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState<Explained | null>(null);
  const { id, status } = recording;
  const files = playable(recording);
  const names = fileNames(recording);

  /** Links are signed for a short time, so each use asks for a fresh one. */
  const freshUrl = async (fileId: string): Promise<string | null> => {
    try {
      const fresh = (await getRecording(token, id)).files.find((file) => file.id === fileId);
      setProblem(null);
      return fresh?.url ?? null;
    } catch (error) {
      setProblem(explain(error));
      return null;
    }
  };
  const download = async (fileId: string) => {
    const url = await freshUrl(fileId);
    if (url === null) return;
    const link = document.createElement("a");
    link.href = downloadUrl(url);
    link.download = "";
    link.click();
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
      <CardHead recording={recording} />
      {isUnderWay(status) && !isActive(status) && <Progress id={id} token={token} />}
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
        {files.map((file) => (
          <FileRow
            key={file.id}
            file={file}
            name={names.get(file.id) ?? file.id}
            playing={playing === file.id}
            onPlay={() => setPlaying(playing === file.id ? null : file.id)}
            onDownload={() => void download(file.id)}
          />
        ))}
      </ul>
      {problem && <Notice what={problem} onDismiss={() => setProblem(null)} />}
      {!isUnderWay(status) && (
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

function CardHead({ recording }: { recording: Recording }) {
  const badge = badgeOf(recording.status);
  const count = peopleIn(recording);
  const facts = [
    recording.durationSeconds === null ? null : duration(recording.durationSeconds),
    count === null ? null : people(count),
    recording.size === null ? null : fileSize(recording.size),
  ].filter((fact) => fact !== null);
  return (
    <div className="recording-head">
      <div className="recording-title">
        <h2 className="truncate">{recording.room}</h2>
        <span className={`badge ${badge.tone}`} data-testid="status-badge">
          {badge.pulsing && <span className="dot pulsing" />}
          {badge.text}
        </span>
      </div>
      <p className="muted">
        <time dateTime={recording.startedAt ?? undefined}>
          {moment(recording.startedAt, new Date())}
        </time>
        {facts.length > 0 && <span className="facts">{facts.join(" · ")}</span>}
      </p>
    </div>
  );
}
