import type { LocalAudioTrack } from "livekit-client";
import { useCallback, useRef } from "react";
import { useLevel } from "./usePreview";

/** How loud the microphone is. Written past React, sixty times a second. */
export function LevelMeter({ track }: { track: LocalAudioTrack | null }) {
  const element = useRef<HTMLDivElement>(null);
  const show = useCallback((level: number) => {
    const meter = element.current;
    if (meter === null) return;
    meter.style.setProperty("--level", level.toFixed(3));
    meter.setAttribute("aria-valuenow", String(Math.round(level * 100)));
  }, []);
  useLevel(track, show);
  return (
    <div
      ref={element}
      className="meter"
      role="meter"
      aria-label="Microphone level"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={0}
      data-testid="mic-level"
    >
      <span />
    </div>
  );
}
