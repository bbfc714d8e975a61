import { useEffect, useState } from "react";
import { duration } from "../../format";
import type { Mark } from "../integrity";
import { parseCues, type Thumbnail, thumbnailAt } from "./cues";
import { type Clip, pictured, type Scene } from "./scene";

interface PreviewProps {
  scene: Scene;
  at: number;
  total: number;
  focus: string | null;
  marks: Mark[];
}

/** What the recording looks like at a moment, over its place on the time line. */
export function Preview({ scene, at, total, focus, marks }: PreviewProps) {
  const clip = pictured(scene, at, focus);
  const cues = useCues(clip);
  const picture = clip === null ? null : thumbnailAt(cues, at - clip.origin);
  const place = Math.min(1, at / total);
  return (
    <div
      className="timeline-preview"
      data-testid="preview"
      style={{ left: `${100 * place}%`, translate: `${-100 * place}% 0` }}
    >
      {picture && <Picture of={picture} />}
      <div className="timeline-time">{duration(at)}</div>
      {marks.map((mark) => (
        <div key={mark.text} className={`timeline-note ${mark.weight}`}>
          {mark.text}
        </div>
      ))}
    </div>
  );
}

function Picture({ of }: { of: Thumbnail }) {
  return (
    <div
      className="timeline-picture"
      data-testid="thumbnail"
      data-region={`${of.x},${of.y},${of.width},${of.height}`}
      style={{
        width: of.width,
        height: of.height,
        backgroundImage: `url("${of.url}")`,
        backgroundPosition: `${-of.x}px ${-of.y}px`,
      }}
    />
  );
}

const loaded = new Map<string, Thumbnail[]>();
const NONE: Thumbnail[] = [];

/** The cues of a clip, fetched at the first look. Without them there is just no picture. */
function useCues(clip: Clip | null): Thumbnail[] {
  const [, redraw] = useState(0);
  const id = clip?.id;
  const url = clip?.file.cues;
  useEffect(() => {
    if (!id || !url || loaded.has(id)) return;
    loaded.set(id, NONE);
    fetch(url)
      .then(async (answer) => {
        if (answer.ok) loaded.set(id, parseCues(await answer.text(), answer.url));
        else loaded.delete(id);
        redraw((count) => count + 1);
      })
      .catch(() => loaded.delete(id));
  }, [id, url]);
  return (id && loaded.get(id)) || NONE;
}
