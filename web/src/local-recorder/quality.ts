/** How a stream is recorded: container, codecs and bit rates. */

/**
 * VP8 first: browsers encode it beside the call's own encoder without falling behind, it survives a
 * change of the picture's size, and with enough bits it looks no worse than newer ones. In MP4,
 * `avc3` survives such a change and `avc1` does not.
 */
const VIDEO = [
  "video/webm;codecs=vp8,opus",
  "video/webm",
  "video/mp4;codecs=avc3.42E01F,mp4a.40.2",
  "video/mp4",
];
const AUDIO = ["audio/webm;codecs=opus", "audio/webm", "audio/mp4;codecs=mp4a.40.2", "audio/mp4"];

const BITS_PER_PIXEL = 0.18;
const LEAST_VIDEO = 2_500_000;
const MOST_VIDEO = 20_000_000;
const AUDIO_BITS = 192_000;

/** The type to record as; undefined leaves it to the browser. */
export function mimeTypeFor(
  stream: MediaStream,
  supported: (type: string) => boolean = (type) => MediaRecorder.isTypeSupported(type),
): string | undefined {
  const types = stream.getVideoTracks().length > 0 ? VIDEO : AUDIO;
  return types.find(supported);
}

/** Bits per second for pictures of this size and rate. */
export function videoBits({ width, height, frameRate }: MediaTrackSettings): number {
  const pixels = (width ?? 1280) * (height ?? 720) * (frameRate ?? 30);
  return Math.round(Math.min(MOST_VIDEO, Math.max(LEAST_VIDEO, pixels * BITS_PER_PIXEL)));
}

export interface Quality {
  /** Container and codecs; default: what keeps the most and works best here. */
  mimeType?: string;
  /** Bits per second; default: by the size of the picture. */
  videoBitsPerSecond?: number;
  audioBitsPerSecond?: number;
}

export function recorderOptions(stream: MediaStream, wanted: Quality): MediaRecorderOptions {
  const { mimeType = mimeTypeFor(stream), audioBitsPerSecond = AUDIO_BITS } = wanted;
  const options: MediaRecorderOptions = { audioBitsPerSecond };
  if (mimeType !== undefined) options.mimeType = mimeType;
  const video = stream.getVideoTracks()[0];
  const videoBitsPerSecond = wanted.videoBitsPerSecond ?? (video && videoBits(video.getSettings()));
  if (videoBitsPerSecond !== undefined) options.videoBitsPerSecond = videoBitsPerSecond;
  return options;
}
