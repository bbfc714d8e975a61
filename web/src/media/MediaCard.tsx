import { useState } from "react";
import { duration, fileSize, moment } from "../format";
import { mediaPath } from "../route";
import { Link } from "../router";
import { Icon } from "../ui/Icon";
import type { MediaFile } from "./api";
import { qualityWords } from "./words";

interface MediaCardProps {
  file: MediaFile;
  chosen: boolean;
  onChoose: (on: boolean) => void;
  onDelete: () => void;
  onRestore: () => void;
  onTag: (tag: string) => void;
}

export function MediaCard(props: MediaCardProps) {
  const { file, chosen, onChoose, onDelete, onRestore, onTag } = props;
  const deleted = file.deletedAt !== null;
  return (
    <li
      className={`card media-card ${chosen ? "chosen" : ""}`}
      data-testid="media-card"
      data-id={file.id}
    >
      <label className="media-choose">
        <input
          type="checkbox"
          aria-label={`Choose ${file.filename}`}
          checked={chosen}
          onChange={(event) => onChoose(event.target.checked)}
          data-testid="choose"
        />
      </label>
      {deleted ? (
        <Poster file={file} />
      ) : (
        <Link to={mediaPath(file.id)} className="media-open" label={`Open ${file.filename}`}>
          <Poster file={file} />
        </Link>
      )}
      <div className="media-words">
        <h2 className="truncate" title={file.filename} dir="auto">
          {deleted ? file.filename : <Link to={mediaPath(file.id)}>{file.filename}</Link>}
        </h2>
        <p className="muted facts-line">
          <span>{moment(file.createdAt, new Date())}</span>
          <span>{fileSize(file.size)}</span>
        </p>
        <div className="media-foot">
          <div className="tags">
            <StatusBadge file={file} />
            {file.duplicateOf !== null && <span className="badge">Duplicate</span>}
            {!deleted &&
              file.tags.map((tag) => (
                <button
                  key={tag}
                  type="button"
                  className="tag truncate"
                  dir="auto"
                  title={`Show what is tagged ${tag}`}
                  onClick={() => onTag(tag)}
                >
                  {tag}
                </button>
              ))}
          </div>
          {deleted ? (
            <button
              type="button"
              className="button small"
              data-testid="restore"
              onClick={onRestore}
            >
              <Icon name="again" />
              Restore
              <span className="visually-hidden"> {file.filename}</span>
            </button>
          ) : (
            <button
              type="button"
              className="button quiet icon-only small"
              data-testid="delete"
              title={`Delete ${file.filename}`}
              onClick={onDelete}
            >
              <Icon name="trash" />
              <span className="visually-hidden">Delete {file.filename}</span>
            </button>
          )}
        </div>
      </div>
    </li>
  );
}

export function StatusBadge({ file }: { file: MediaFile }) {
  if (file.status === "ready") return null;
  return file.status === "failed" ? (
    <span className="badge danger">Failed</span>
  ) : (
    <span className="badge warn">
      <span className="dot pulsing" />
      Being prepared
    </span>
  );
}

function Poster({ file }: { file: MediaFile }) {
  const [missing, setMissing] = useState(false);
  const { thumbnailUrl, durationSeconds, quality, fileType } = file;
  return (
    <div className="media-poster">
      {thumbnailUrl === null || missing ? (
        <Icon name={fileType === "audio" ? "sound" : "film"} />
      ) : (
        <img
          src={thumbnailUrl}
          alt=""
          loading="lazy"
          data-testid="poster"
          onError={() => setMissing(true)}
        />
      )}
      {quality !== null && (
        <span className="chip left" data-testid="quality">
          {qualityWords(quality)}
        </span>
      )}
      {durationSeconds !== null && <span className="chip right">{duration(durationSeconds)}</span>}
    </div>
  );
}
