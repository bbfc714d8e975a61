/** Where the bytes of a file come from, and what is tried when one way fails. */

import type Hls from "hls.js";
import type { RecordingFile } from "../../api";
import { fetchWhole } from "./crowd";

export interface Abilities {
  /** Plays HLS without help (Safari). */
  nativeHls: boolean;
  /** Has Media Source Extensions, on which hls.js works. */
  mediaSource: boolean;
}

export type Way = "file" | "native-hls" | "hls.js";

const HLS_TYPE = "application/vnd.apple.mpegurl";

export function abilities(): Abilities {
  const probe = document.createElement("video");
  const mediaSource = "MediaSource" in window;
  return {
    // Chromium has begun to play HLS too, less well than hls.js does; Safari has this interface.
    nativeHls:
      probe.canPlayType(HLS_TYPE) !== "" && (!mediaSource || "ManagedMediaSource" in window),
    mediaSource,
  };
}

/** The ways to play a file, best first. HLS is made of files that are too long for anything else. */
export function waysOf(file: Pick<RecordingFile, "hls">, can: Abilities): Way[] {
  if (file.hls === null) return ["file"];
  if (can.nativeHls) return ["native-hls", "file"];
  return can.mediaSource ? ["hls.js", "file"] : ["file"];
}

/** Where a file is, and the playlist of its stream if there is one. */
export type Source = Pick<RecordingFile, "url" | "hls">;

interface Hooks {
  /** Fetch the file before it plays, instead of while it does. */
  whole: boolean;
  /** The file with fresh links; null when there are none to be had. */
  renew: () => Promise<Source | null>;
  /** Nothing helped. */
  onBroken: () => void;
}

/**
 * Gives an element its file, by the next way when one fails, and with fresh links when all did:
 * links hold for two hours, and people pause for longer. Returns what takes it away again.
 */
export function supply(element: HTMLMediaElement, first: Source, hooks: Hooks): () => void {
  let file = first;
  let ways = waysOf(file, abilities());
  let renewed = false;
  let over = false;
  let hls: Hls | null = null;
  let copy: string | null = null;
  const abort = new AbortController();

  const load = async () => {
    const [way] = ways;
    const at = element.currentTime;
    hls?.destroy();
    hls = null;
    if (way === "hls.js" && file.hls !== null) {
      hls = await overHls(element, file.hls, at, fail);
      if (over) hls?.destroy();
      return;
    }
    if (way === "native-hls" && file.hls !== null) element.src = file.hls;
    else element.src = hooks.whole ? await whole() : file.url;
    if (at > 0) element.currentTime = at;
  };
  /** Its own address where no copy is to be had. */
  const whole = async () => {
    try {
      copy ??= await fetchWhole(file.url, abort.signal);
    } catch {
      return file.url;
    }
    if (over) URL.revokeObjectURL(copy);
    return copy;
  };
  const fail = () => {
    if (over) return;
    ways = ways.slice(1);
    if (ways.length > 0) void load();
    else if (renewed) hooks.onBroken();
    else void renew();
  };
  const renew = async () => {
    renewed = true;
    const fresh = await hooks.renew();
    if (over) return;
    if (fresh === null) return hooks.onBroken();
    file = fresh;
    ways = waysOf(file, abilities());
    await load();
  };
  const onPlaying = () => {
    renewed = false;
  };
  const onError = () => {
    // hls.js mends what it can, and tells of the rest itself
    if (hls === null) fail();
  };
  element.addEventListener("error", onError);
  element.addEventListener("playing", onPlaying);
  void load();
  return () => {
    over = true;
    abort.abort();
    if (copy !== null) URL.revokeObjectURL(copy);
    element.removeEventListener("error", onError);
    element.removeEventListener("playing", onPlaying);
    hls?.destroy();
    element.removeAttribute("src");
    element.load();
  };
}

/** Fetched only for files that need it. Null when it could not even be fetched. */
async function overHls(
  element: HTMLMediaElement,
  url: string,
  at: number,
  fail: () => void,
): Promise<Hls | null> {
  try {
    const { default: HlsJs } = await import("hls.js/light");
    const hls = new HlsJs({
      startPosition: at > 0 ? at : -1,
      enableWorker: false, // fragmented MP4 needs no repackaging
      maxBufferLength: 30,
      maxMaxBufferLength: 60,
      backBufferLength: 30,
    });
    let mended = false;
    hls.on(HlsJs.Events.ERROR, (_event, { fatal, type }) => {
      if (!fatal) return;
      if (type === HlsJs.ErrorTypes.MEDIA_ERROR && !mended) {
        mended = true;
        hls.recoverMediaError();
      } else fail();
    });
    hls.loadSource(url);
    hls.attachMedia(element);
    return hls;
  } catch {
    fail();
    return null;
  }
}
