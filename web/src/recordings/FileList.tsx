import type { Recording, RecordingFile } from "../api";
import { duration, fileSize } from "../format";
import { Avatar } from "../ui/Avatar";
import { Icon } from "../ui/Icon";
import { fileNames, personOf, playable } from "./model";

interface FileListProps {
  recording: Recording;
  onSave: (fileId: string) => void;
}

/** What the recording consists of, to be saved one by one. */
export function FileList({ recording, onSave }: FileListProps) {
  const names = fileNames(recording);
  const files = playable(recording);
  if (files.length === 0) return null;
  return (
    <section className="card panel" aria-labelledby="files-heading">
      <h2 id="files-heading">Files</h2>
      <ul className="rows">
        {files.map((file) => {
          const name = names.get(file.id) ?? file.id;
          return (
            <li key={file.id} className="row-line" data-testid="file" data-file-id={file.id}>
              <Avatar name={personOf(file)} seed={file.participantId || file.id} />
              <div className="file-words">
                <div className="truncate">{name}</div>
                <div className="muted">{factsOf(file)}</div>
              </div>
              <button
                type="button"
                className="button icon-only small"
                data-testid="download"
                title={`Download ${name}`}
                aria-label={`Download ${name}`}
                onClick={() => onSave(file.id)}
              >
                <Icon name="download" />
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

const FORMATS: Record<string, string> = {
  "video/webm": "WebM",
  "audio/webm": "WebM, sound",
  "video/mp4": "MP4",
  "audio/mp4": "M4A, sound",
};

function factsOf(file: RecordingFile): string {
  const size = file.width && file.height ? `${file.width} × ${file.height}` : null;
  return [
    duration(file.durationSeconds),
    fileSize(file.size),
    FORMATS[file.contentType] ?? file.contentType,
    size,
  ]
    .filter((fact) => fact !== null)
    .join(" · ");
}
