/** What of a running recording is shown when. Pure; times are seconds from the recording's start. */

import { nameIn } from "../model";

/** One growing stream, as the server describes it. */
export interface LiveStream {
  streamId: string;
  participantId: string;
  participantName: string;
  source: "camera" | "screen";
  contentType: string;
  startSeconds: number;
  /** How much of it is there, in seconds from its own start. */
  seconds: number;
  /** Nothing more is added to it. */
  ended: boolean;
  url: string;
}

export interface LiveListing {
  live: boolean;
  elapsedSeconds: number;
  streams: LiveStream[];
}

/** So far from the newest media playing stays, so that it does not run dry. */
export const MARGIN = 1.5;
/** Streams are got ready so long before they are shown. */
const AHEAD = 5;
/** A gap between two streams of one person that nobody should see. */
const SEAM = 0.3;

export const endOf = (stream: LiveStream) => stream.startSeconds + stream.seconds;
export const hasPicture = (stream: LiveStream) => !stream.contentType.includes('"opus"');

/** What one person sends of one source: one stream after the other. */
export interface Seat {
  key: string;
  name: string;
  source: LiveStream["source"];
  streams: LiveStream[];
}

/** The seats in the order in which they came up, screens first: they are what people talk about. */
export function seatsOf(streams: readonly LiveStream[]): Seat[] {
  const seats = new Map<string, Seat>();
  const ordered = [...streams].sort((a, b) => a.startSeconds - b.startSeconds);
  for (const stream of ordered) {
    const key = `${stream.source} ${stream.participantId}`;
    const person = stream.participantName || nameIn(stream.participantId);
    const name = stream.source === "screen" ? `${person}’s screen` : person;
    const seat = seats.get(key) ?? { key, name, source: stream.source, streams: [] };
    seat.streams.push(stream);
    seats.set(key, seat);
  }
  const all = [...seats.values()];
  return [...all.filter((s) => s.source === "screen"), ...all.filter((s) => s.source === "camera")];
}

/** The stream of a seat that is to be seen at `at`; null when there is none then. */
export function shownAt(seat: Seat, at: number): LiveStream | null {
  let shown: LiveStream | null = null;
  for (const stream of seat.streams) {
    if (at >= stream.startSeconds - SEAM / 2) shown = stream;
  }
  if (shown === null) return null;
  return shown.ended && at >= endOf(shown) ? null : shown;
}

/** The streams of a seat that need a video element when it is `at`. */
export function neededAt(seat: Seat, at: number): LiveStream[] {
  const shown = shownAt(seat, at);
  return seat.streams.filter(
    (stream) => stream === shown || (stream.startSeconds > at && stream.startSeconds - at <= AHEAD),
  );
}

/** The place nearest to the call that can be played without running dry at once. */
export function liveEdge(streams: readonly LiveStream[]): number {
  const growing = streams.filter((stream) => !stream.ended);
  const ends = (growing.length > 0 ? growing : streams).map(endOf);
  if (ends.length === 0) return 0;
  // a stream that has just begun is not behind the others
  const newest = Math.max(...ends);
  return Math.max(0, Math.min(...ends.filter((end) => newest - end < 3)) - MARGIN);
}

/** "live", or how far behind the call, in words. */
export function delayInWords(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s behind`;
  const minutes = Math.floor(whole / 60);
  return `${minutes} min ${whole % 60} s behind`;
}
