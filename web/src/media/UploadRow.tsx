import { type ChangeEvent, useRef, useState } from "react";
import type { Explained } from "../explain";
import { fileSize } from "../format";
import { mediaPath } from "../route";
import { Link } from "../router";
import { Icon, type IconName } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { explainMedia, isAboutTheFile } from "./explain";
import type { UploadQueue, UploadView } from "./upload/queue";
import { pauseWords, percentOf, progressWords } from "./words";

interface UploadRowProps {
  view: UploadView;
  queue: UploadQueue;
}

export function UploadRow({ view, queue }: UploadRowProps) {
  const { id, name, stage, media } = view;
  const moving = stage === "starting" || stage === "sending";
  const shows = moving || stage === "finishing" || stage === "paused" || stage === "lost";
  return (
    <li className="card upload" data-testid="upload" data-stage={stage} data-name={name}>
      <div className="upload-head">
        <span className={`upload-mark ${stage}`}>
          <Icon name={stage === "done" ? "check" : stage === "failed" ? "alert" : "film"} />
        </span>
        <div className="upload-words">
          <div className="upload-name truncate" title={name} dir="auto">
            {name}
          </div>
          <div className="muted" data-testid="upload-state">
            {progressWords(view)}
          </div>
        </div>
        <div className="upload-buttons">
          {(moving || stage === "waiting") && (
            <Do icon="pause" text={pauseWords(view)} onDo={() => queue.pause(id)} testId="pause" />
          )}
          {stage === "paused" && (
            <Do icon="play" text={`Resume ${name}`} onDo={() => queue.resume(id)} testId="resume" />
          )}
          {stage === "failed" && !isAboutTheFile(view.error) && (
            <Do
              icon="again"
              text={`Try ${name} again`}
              onDo={() => queue.resume(id)}
              testId="retry"
            />
          )}
          {stage === "lost" && <Rechoose view={view} queue={queue} />}
          {stage === "done" && media !== null && (
            <Link to={mediaPath(media.id)} className="button small" testId="open-media">
              Open
            </Link>
          )}
          {stage !== "done" && stage !== "finishing" && (
            <Do
              icon={stage === "failed" ? "close" : "trash"}
              text={stage === "failed" ? `Take ${name} off the list` : `Cancel ${name}`}
              onDo={() => queue.cancel(id)}
              testId="cancel"
            />
          )}
        </div>
      </div>
      {shows && (
        <div className="progress">
          <progress
            value={stage === "finishing" ? undefined : percentOf(view)}
            max={100}
            aria-label={`${name} uploaded`}
          />
        </div>
      )}
      {stage === "failed" && <Notice what={explainMedia(view.error)} />}
      {media?.duplicateOf && <Duplicate of={media.duplicateOf} />}
    </li>
  );
}

function Duplicate({ of }: { of: string }) {
  return (
    <Notice
      tone="info"
      what={{ title: "You have this file already", advice: "Its content is the same." }}
    >
      <Link to={mediaPath(of)} className="button small" testId="open-duplicate">
        Open the other
      </Link>
    </Notice>
  );
}

interface DoProps {
  icon: IconName;
  text: string;
  testId: string;
  onDo: () => void;
}

function Do({ icon, text, testId, onDo }: DoProps) {
  return (
    <button
      type="button"
      className="button quiet icon-only"
      title={text}
      data-testid={testId}
      onClick={onDo}
    >
      <Icon name={icon} />
      <span className="visually-hidden">{text}</span>
    </button>
  );
}

/** After a reload the browser has to be given the file again. */
function Rechoose({ view, queue }: UploadRowProps) {
  const chooser = useRef<HTMLInputElement>(null);
  const [refused, setRefused] = useState<Explained | null>(null);
  const chosen = (event: ChangeEvent<HTMLInputElement>) => {
    const [file] = event.target.files ?? [];
    event.target.value = "";
    if (file === undefined || queue.continueWith(view.id, file)) return setRefused(null);
    setRefused({
      title: "This is another file",
      advice: `Choose “${view.name}” of ${fileSize(view.size)}, unchanged since.`,
    });
  };
  return (
    <>
      <button
        type="button"
        className="button small primary"
        onClick={() => chooser.current?.click()}
      >
        Choose it again
      </button>
      <input
        ref={chooser}
        type="file"
        hidden
        aria-label={`${view.name}, to go on`}
        data-testid="rechoose"
        onChange={chosen}
      />
      {refused && <Notice tone="warn" what={refused} onDismiss={() => setRefused(null)} />}
    </>
  );
}
