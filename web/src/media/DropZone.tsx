import { type ChangeEvent, useEffect, useRef, useState } from "react";
import { Icon } from "../ui/Icon";

interface DropZoneProps {
  small: boolean;
  /** What may be uploaded; null when it is not known. */
  hint: string | null;
  onFiles: (files: File[]) => void;
}

/** Files dropped anywhere on the page count; a browser would open them instead. */
export function DropZone({ small, hint, onFiles }: DropZoneProps) {
  const chooser = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const take = useRef(onFiles);
  take.current = onFiles;

  useEffect(() => {
    const dragged = (event: DragEvent) => {
      if (!hasFiles(event.dataTransfer)) return;
      event.preventDefault();
      setOver(event.type === "dragover");
    };
    const dropped = (event: DragEvent) => {
      if (!hasFiles(event.dataTransfer)) return;
      event.preventDefault();
      setOver(false);
      const files = filesIn(event.dataTransfer);
      if (files.length > 0) take.current(files);
    };
    document.addEventListener("dragover", dragged);
    document.addEventListener("dragleave", dragged);
    document.addEventListener("drop", dropped);
    return () => {
      document.removeEventListener("dragover", dragged);
      document.removeEventListener("dragleave", dragged);
      document.removeEventListener("drop", dropped);
    };
  }, []);

  const chosen = (event: ChangeEvent<HTMLInputElement>) => {
    const files = [...(event.target.files ?? [])];
    event.target.value = ""; // so that the same file may be chosen again
    if (files.length > 0) onFiles(files);
  };
  return (
    <div className={`drop ${over ? "over" : ""} ${small ? "small-drop" : ""}`}>
      <Icon name="upload" />
      <div className="drop-words">
        <strong className="drop-mouse">{over ? "Let go to upload" : "Drop files here"}</strong>
        <strong className="drop-touch">Videos and sound</strong>
        <span className="muted drop-mouse">or choose them, as many as you like</span>
        <span className="muted drop-touch">As many as you like</span>
        {hint !== null && <span className="muted drop-hint">{hint}</span>}
      </div>
      <button type="button" className="button primary" onClick={() => chooser.current?.click()}>
        Choose files
      </button>
      <input
        ref={chooser}
        type="file"
        multiple
        hidden
        accept="video/*,audio/*,.mkv,.mov,.avi"
        aria-label="Files to upload"
        data-testid="file-input"
        onChange={chosen}
      />
    </div>
  );
}

function hasFiles(carried: DataTransfer | null): carried is DataTransfer {
  return carried !== null && [...carried.types].includes("Files");
}

/** Without folders, which come as files that can't be read. */
function filesIn(carried: DataTransfer): File[] {
  return [...carried.items]
    .filter((item) => item.kind === "file" && item.webkitGetAsEntry()?.isDirectory !== true)
    .flatMap((item) => item.getAsFile() ?? []);
}
