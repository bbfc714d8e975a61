import { useEffect, useRef, useState } from "react";
import { Notice } from "../ui/Notice";

interface PlayerProps {
  label: string;
  /** A fresh signed address; null when there is none to be had. */
  getUrl: () => Promise<string | null>;
}

const BROKEN = {
  title: "This file does not play",
  advice: "Your browser may not know its format. Download it and open it in a player.",
};

/** Plays one file. A link that expired while paused is renewed once, at the same place. */
export function Player({ label, getUrl }: PlayerProps) {
  const video = useRef<HTMLVideoElement>(null);
  const [broken, setBroken] = useState(false);
  const renewed = useRef(false);
  const ask = useRef(getUrl);
  ask.current = getUrl;

  useEffect(() => {
    const element = video.current;
    if (element === null) return;
    let current = true;
    const load = async (at: number) => {
      const url = await ask.current();
      if (!current || url === null) return;
      element.src = url;
      if (at > 0) element.currentTime = at;
      await element.play().catch(() => undefined);
    };
    const onError = () => {
      if (renewed.current) return setBroken(true);
      renewed.current = true;
      void load(element.currentTime);
    };
    const onPlaying = () => {
      renewed.current = false;
    };
    element.addEventListener("error", onError);
    element.addEventListener("playing", onPlaying);
    void load(0);
    return () => {
      current = false;
      element.removeEventListener("error", onError);
      element.removeEventListener("playing", onPlaying);
      element.removeAttribute("src");
      element.load();
    };
  }, []);

  return (
    <div className="player">
      {broken && <Notice what={BROKEN} />}
      <video
        ref={video}
        controls
        playsInline
        preload="metadata"
        aria-label={label}
        data-testid="player"
      />
    </div>
  );
}
