import { memo, type PointerEvent, useRef, useState } from "react";
import { duration } from "../../format";
import type { Mark } from "../integrity";
import { Preview } from "./Preview";
import type { Scene } from "./scene";
import type { Transport } from "./transport";
import { usePosition } from "./useTransport";

interface TimeLineProps {
  scene: Scene;
  transport: Transport;
  marks: Mark[];
  focus: string | null;
}

/** The whole recording as a line: where it is, what is missing, and a picture of where one points. */
export function TimeLine({ scene, transport, marks, focus }: TimeLineProps) {
  const line = useRef<HTMLDivElement>(null);
  const at = usePosition(transport, 0.1);
  const [pointed, setPointed] = useState<number | null>(null);
  const [focused, setFocused] = useState(false);
  const { total } = scene;

  const timeOf = (event: PointerEvent) => {
    const box = line.current?.getBoundingClientRect();
    if (!box || box.width === 0) return 0;
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * total;
  };
  const onDown = (event: PointerEvent<HTMLDivElement>) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    transport.seek(timeOf(event));
  };
  const onMove = (event: PointerEvent<HTMLDivElement>) => {
    const time = timeOf(event);
    setPointed(time);
    if (event.currentTarget.hasPointerCapture(event.pointerId)) transport.seek(time);
  };
  const shown = pointed ?? (focused ? at : null);
  return (
    <div className="timeline">
      {shown !== null && (
        <Preview
          scene={scene}
          at={shown}
          total={total}
          focus={focus}
          marks={marks.filter((mark) => near(mark, shown, total))}
        />
      )}
      <div
        ref={line}
        role="slider"
        tabIndex={0}
        className="timeline-line"
        data-testid="timeline"
        aria-label="Position"
        aria-valuemin={0}
        aria-valuemax={Math.round(total)}
        aria-valuenow={Math.round(at)}
        aria-valuetext={`${duration(at)} of ${duration(total)}`}
        onPointerDown={onDown}
        onPointerMove={onMove}
        onPointerLeave={() => setPointed(null)}
        onPointerUp={(event) => event.pointerType !== "mouse" && setPointed(null)}
        onPointerCancel={() => setPointed(null)}
        onFocus={(event) => setFocused(event.currentTarget.matches(":focus-visible"))}
        onKeyDown={() => setFocused(true)}
        onBlur={() => setFocused(false)}
      >
        <div className="timeline-rail">
          <div className="timeline-played" style={{ width: share(at, total) }} />
          <Marks marks={marks} total={total} />
        </div>
        <div className="timeline-knob" style={{ left: share(at, total) }} />
      </div>
    </div>
  );
}

const share = (part: number, total: number) => `${(100 * part) / total}%`;

/** True when the pointer is at the mark, or as good as. */
const near = (mark: Mark, at: number, total: number) =>
  mark.start - total / 150 <= at && at <= mark.end + total / 150;

const Marks = memo(function Marks({ marks, total }: { marks: Mark[]; total: number }) {
  return marks.map((mark, index) => (
    <div
      key={index}
      className={`timeline-mark ${mark.weight}`}
      data-testid="mark"
      style={{ left: share(mark.start, total), width: share(mark.end - mark.start, total) }}
    />
  ));
});
