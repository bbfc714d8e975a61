import { useEffect, useRef, useState } from "react";
import { type Source, supply } from "../recordings/player/sources";
import { Notice } from "../ui/Notice";
import { getMedia, type MediaFile, watched } from "./api";
import { token } from "./me";
import { isMade } from "./model";
import { WatchTime } from "./watchTime";
import { qualityWords } from "./words";

const BROKEN = {
  title: "This file does not play here",
  advice: "Your browser may not know its format. Make a 720p version below, or download it.",
};
const ORIGINAL = "original";
const AUTO = "hls";

/** The file, its smaller versions and its captions. */
export function MediaPlayer({ file }: { file: MediaFile }) {
  const element = useRef<HTMLVideoElement>(null);
  const made = file.renditions.filter(isMade);
  const [chosen, setChosen] = useState<string | null>(null);
  const [broken, setBroken] = useState(false);
  const which = chosen ?? (made.some(({ name }) => name === AUTO) ? AUTO : ORIGINAL);
  const { id } = file;
  const latest = useRef(file);
  latest.current = file;
  const place = useRef({ at: 0, playing: false });

  useEffect(() => {
    const video = element.current;
    if (video === null) return;
    setBroken(false);
    const renew = async () => {
      try {
        return sourceOf(await getMedia(await token(), id), which);
      } catch {
        return null;
      }
    };
    const { at, playing } = place.current;
    const begin = () => {
      if (at > 0) video.currentTime = at;
      if (playing) void video.play().catch(() => undefined);
    };
    video.addEventListener("loadedmetadata", begin, { once: true });
    const first = sourceOf(latest.current, which);
    const hooks = { whole: false, renew, onBroken: () => setBroken(true) };
    const take = supply(video, first, hooks);
    return () => {
      video.removeEventListener("loadedmetadata", begin);
      place.current = { at: video.currentTime, playing: !video.paused };
      take();
    };
  }, [id, which]);

  useEffect(() => {
    const video = element.current;
    if (video === null) return;
    const time = new WatchTime();
    const note = () => time.note(video.currentTime, video.paused);
    const tell = () => {
      note();
      const taken = time.take();
      if (taken === null) return;
      void token()
        .then((key) => watched(key, id, taken.seconds, taken.continued))
        .catch(() => undefined);
    };
    // a page that is hidden may be ended without another word, above all on phones
    const onHidden = () => document.hidden && tell();
    const events = ["timeupdate", "seeking", "play", "pause"];
    for (const name of events) video.addEventListener(name, note);
    window.addEventListener("pagehide", tell);
    document.addEventListener("visibilitychange", onHidden);
    return () => {
      for (const name of events) video.removeEventListener(name, note);
      window.removeEventListener("pagehide", tell);
      document.removeEventListener("visibilitychange", onHidden);
      tell();
    };
  }, [id]);

  return (
    <div className="player">
      {broken && <Notice what={BROKEN} />}
      <video
        ref={element}
        className={`media-screen ${file.fileType === "audio" ? "sound-only" : ""}`}
        controls
        playsInline
        preload="metadata"
        poster={file.thumbnailUrl ?? undefined}
        aria-label={file.filename}
        data-testid="player"
        data-source={which}
      >
        {file.captions.map((each) => (
          <track
            key={each.language}
            kind="captions"
            src={each.url ?? undefined}
            srcLang={each.language}
            label={each.label || languageName(each.language)}
          />
        ))}
      </video>
      {made.length > 0 && (
        <label className="media-quality">
          <span className="muted">Quality</span>
          <select
            className="input"
            data-testid="quality-select"
            value={which}
            onChange={(event) => setChosen(event.target.value)}
          >
            {made.some(({ name }) => name === AUTO) && <option value={AUTO}>Automatic</option>}
            <option value={ORIGINAL}>Original</option>
            {made
              .filter(({ name }) => name !== AUTO)
              .map(({ name }) => (
                <option key={name} value={name}>
                  {qualityWords(name)}
                </option>
              ))}
          </select>
        </label>
      )}
    </div>
  );
}

function sourceOf(file: MediaFile, which: string): Source {
  const made = file.renditions.find((one) => one.name === which && isMade(one));
  const url = file.url ?? "";
  if (made?.url == null) return { url, hls: null };
  return which === AUTO ? { url, hls: made.url } : { url: made.url, hls: null };
}

export function languageName(language: string): string {
  try {
    return new Intl.DisplayNames(undefined, { type: "language" }).of(language) ?? language;
  } catch {
    return language; // not a tag that anybody knows
  }
}
