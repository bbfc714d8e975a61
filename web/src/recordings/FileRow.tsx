import type { RecordingFile } from "../api";
import { duration, fileSize } from "../format";
import { Avatar } from "../ui/Avatar";
import { Icon } from "../ui/Icon";
import { personOf } from "./model";

interface FileRowProps {
  file: RecordingFile;
  name: string;
  playing: boolean;
  onPlay: () => void;
  onDownload: () => void;
}

export function FileRow({ file, name, playing, onPlay, onDownload }: FileRowProps) {
  const marks = { "data-file-id": file.id, "data-participant": file.participantId ?? "" };
  return (
    <li className="file" {...marks}>
      <Avatar name={personOf(file)} seed={file.participantId ?? name} />
      <div className="file-words">
        <div className="truncate">{name}</div>
        <div className="muted">
          {duration(file.durationSeconds)} · {fileSize(file.size)}
        </div>
      </div>
      <button
        type="button"
        className={`button icon-only small ${playing ? "" : "primary"}`}
        data-testid="play"
        title={playing ? "Close the player" : `Play ${name}`}
        aria-expanded={playing}
        onClick={onPlay}
        {...marks}
      >
        <Icon name={playing ? "close" : "play"} />
        <span className="visually-hidden">
          {playing ? "Close the player" : "Play"} {name}
        </span>
      </button>
      <button
        type="button"
        className="button icon-only small"
        data-testid="download"
        title={`Download ${name}`}
        onClick={onDownload}
        {...marks}
      >
        <Icon name="download" />
        <span className="visually-hidden">Download {name}</span>
      </button>
    </li>
  );
}
