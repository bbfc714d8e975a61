/** Uploads and media files in words. Pure. */

import { duration, fileSize } from "../format";
import type { MediaFile, UploadLimits } from "./api";
import { formatName, listed } from "./explain";
import type { UploadView } from "./upload/queue";

/** How far it is: "12 MB of 101 MB · 3.4 MB/s · 0:26 left". */
export function progressWords(view: UploadView): string {
  const { stage, size, sent, bytesPerSecond, secondsLeft } = view;
  const part = `${fileSize(sent)} of ${fileSize(size)}`;
  switch (stage) {
    case "waiting":
      return view.held
        ? "Waits: the server takes no more of your files at once"
        : `${fileSize(size)} · waits for its turn`;
    case "starting":
      return `${fileSize(size)} · starts`;
    case "sending": {
      const speed = bytesPerSecond === null ? null : `${fileSize(Math.round(bytesPerSecond))}/s`;
      const left = secondsLeft === null ? null : `${duration(Math.max(1, secondsLeft))} left`;
      const warning = losesMuch(view) ? "a pause starts it over" : null;
      return [part, speed, left, warning].filter((one) => one !== null).join(" · ");
    }
    case "finishing":
      return "All sent · the server looks into it";
    case "paused":
      return view.keepsParts || sent === 0
        ? `Paused · ${part}`
        : "Paused · begins again from the start";
    case "lost":
      return sent > 0
        ? `${part} are there already. Choose the file again to go on.`
        : "Interrupted. Choose the file again to send it.";
    case "failed":
      return sent > 0 ? part : fileSize(size);
    case "done":
      return fileSize(size);
  }
}

/** Less than this is sent again in a moment, in bytes. */
const MUCH = 8_000_000;

/** A pause would begin again with so much that it has to be said before. */
const losesMuch = ({ keepsParts, size }: UploadView) => !keepsParts && size >= MUCH;

export function pauseWords(view: UploadView): string {
  const over = view.stage === "sending" && losesMuch(view);
  return over ? `Pause ${view.name}; it starts over` : `Pause ${view.name}`;
}

/** "MP4, WebM and MOV, up to 524 MB each" */
export function limitsWords({ formats, largestBytes }: UploadLimits): string {
  return `${listed(formats.map(formatName))}, up to ${fileSize(largestBytes)} each`;
}

/** Whole percent; 100 only when all of it is there. */
export function percentOf({ sent, size }: UploadView): number {
  return size === 0 ? 0 : Math.min(100, Math.floor((sent / size) * 100));
}

/** What those should hear who don't see the list: what is done or refused since `before`. */
export function newsOf(before: readonly UploadView[], now: readonly UploadView[]): string {
  const stages = new Map(before.map((one) => [one.id, one.stage]));
  return now
    .filter((one) => stages.get(one.id) !== one.stage)
    .flatMap(({ stage, name }) => {
      if (stage === "done") return `${name} is uploaded.`;
      return stage === "failed" ? `${name} could not be uploaded.` : [];
    })
    .join(" ");
}

const CODECS: Record<string, string> = {
  h264: "H.264",
  hevc: "H.265",
  h265: "H.265",
  vp8: "VP8",
  vp9: "VP9",
  av1: "AV1",
  aac: "AAC",
  opus: "Opus",
  mp3: "MP3",
  vorbis: "Vorbis",
  flac: "FLAC",
};

export function codecName(codec: string | null): string {
  return codec === null ? "–" : (CODECS[codec] ?? codec);
}

export function bitrateWords(bitsPerSecond: number | null): string {
  if (bitsPerSecond === null) return "–";
  const kilo = bitsPerSecond / 1000;
  return kilo >= 1000 ? `${(kilo / 1000).toFixed(1)} Mbit/s` : `${Math.round(kilo)} kbit/s`;
}

export function frameRateWords(rate: number | null): string {
  return rate === null ? "–" : `${Number(rate.toFixed(2))} per second`;
}

export function pictureWords({ width, height }: Pick<MediaFile, "width" | "height">): string {
  return width === null || height === null ? "–" : `${width} × ${height}`;
}

/** "4K" and "720p", as people write them. */
export function qualityWords(quality: string): string {
  return quality === "4k" ? "4K" : quality;
}

export function renditionName(name: string): string {
  return name === "hls" ? "Stream (HLS)" : `${name} MP4`;
}
