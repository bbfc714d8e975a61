/** What is known to be missing from a recording, in words and on the time line. Pure. */

import type { Integrity, Recording, Span, TrackIntegrity } from "../api";
import { duration } from "../format";
import { nameIn } from "./model";

export type Weight = "loss" | "warn" | "calm";

export interface Mark {
  start: number;
  end: number;
  weight: Weight;
  text: string;
}

interface Cause {
  weight: Weight;
  says: string;
  /** Not worth a mark on the time line: people mute all the time. */
  quiet?: boolean;
}

const CAUSES = new Map<string, Cause>(
  Object.entries({
    lost: { weight: "loss", says: "lost on the way" },
    missing: { weight: "loss", says: "never arrived from the person’s browser" },
    network: { weight: "loss", says: "nothing arrived: the connection was down" },
    unreadable: { weight: "loss", says: "the server’s own copy is damaged from here" },
    undecodable: { weight: "loss", says: "picture damaged until the next whole one" },
    freeze: { weight: "warn", says: "the picture stood still" },
    muted: { weight: "calm", says: "switched off by the person", quiet: true },
    paused: { weight: "calm", says: "paused by the person" },
    absent: { weight: "calm", says: "away from the call" },
    before_keyframe: { weight: "calm", says: "waiting for the first whole picture", quiet: true },
  }),
);

const UNKNOWN: Cause = { weight: "warn", says: "missing" };

const causeOf = (reason: string): Cause => CAUSES.get(reason) ?? { ...UNKNOWN, says: reason };

interface Flaw {
  start: number;
  length: number;
  cause: Cause;
}

function flawsOf(track: TrackIntegrity): Flaw[] {
  const named = (spans: Span[] | undefined, reason: string) =>
    (spans ?? []).map((span) => ({ ...span, reason }));
  return [
    ...(track.gaps ?? []),
    ...named(track.undecodable, "undecodable"),
    ...named(track.freezes, "freeze"),
  ]
    .map(({ startSeconds, durationSeconds, reason }) => ({
      start: startSeconds,
      length: durationSeconds,
      cause: causeOf(reason),
    }))
    .sort((a, b) => a.start - b.start);
}

const WEIGHTS: Weight[] = ["calm", "warn", "loss"];
const heavier = (a: Weight, b: Weight) => (WEIGHTS.indexOf(a) >= WEIGHTS.indexOf(b) ? a : b);

/** Marks for the time line, at most about two hundred: near ones become one. */
export function marksOf(recording: Recording, total: number): Mark[] {
  const names = namesIn(recording);
  const marks: Mark[] = [];
  for (const track of recording.integrity?.tracks ?? []) {
    const who = `${names.get(track.participantId) ?? nameIn(track.participantId)}, ${kindOf(track)}`;
    for (const { start, length, cause } of flawsOf(track)) {
      if (cause.quiet) continue;
      const text = `${duration(start)} ${who}: ${cause.says}`;
      marks.push({ start, end: start + length, weight: cause.weight, text });
    }
  }
  return merged(marks, total / 200);
}

function merged(marks: Mark[], nearness: number): Mark[] {
  const result: Mark[] = [];
  for (const mark of [...marks].sort((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (last === undefined || mark.start - last.end > nearness) {
      result.push({ ...mark });
      continue;
    }
    last.end = Math.max(last.end, mark.end);
    last.weight = heavier(last.weight, mark.weight);
    if (last.text.split("\n").length < 4) last.text += `\n${mark.text}`;
  }
  return result;
}

export interface TrackReport {
  key: string;
  person: string;
  kind: string;
  packets: string;
  sizes: string | null;
  flaws: { at: number; text: string; weight: Weight }[];
  /** How many flaws were left out of `flaws`. */
  more: number;
}

export interface Report {
  whole: boolean;
  headline: string;
  advice: string;
  offset: string;
  tracks: TrackReport[];
  failures: string[];
}

const LISTED = 12;

/** Null where nothing is known: before the end, and of recordings older than the report. */
export function reportOf(recording: Recording): Report | null {
  const integrity = recording.integrity;
  if (integrity === null || integrity.tracks === undefined) return null;
  const names = namesIn(recording);
  const whole = integrity.complete === true;
  return {
    whole,
    headline: whole ? "Complete" : "Something is missing",
    advice: whole
      ? "Nothing that was sent to the server is known to be missing."
      : "What is missing is listed below and marked on the time line.",
    offset: offsetText(integrity),
    tracks: integrity.tracks.map((track, index) => trackReport(track, index, names)),
    failures: (integrity.failures ?? []).map((each) =>
      typeof each === "string" ? each : JSON.stringify(each),
    ),
  };
}

function trackReport(
  track: TrackIntegrity,
  index: number,
  names: Map<string, string>,
): TrackReport {
  const flaws = flawsOf(track);
  return {
    key: track.trackId || String(index),
    person: names.get(track.participantId) ?? nameIn(track.participantId),
    kind: kindOf(track),
    packets: packetsText(track),
    sizes: sizesText(track),
    flaws: flaws.slice(0, LISTED).map(({ start, length, cause }) => ({
      at: start,
      weight: cause.weight,
      text: length > 0 ? `${seconds(length)}: ${cause.says}` : cause.says,
    })),
    more: Math.max(0, flaws.length - LISTED),
  };
}

function kindOf(track: TrackIntegrity): string {
  if (track.source === "client" || track.trackId.startsWith("client/")) {
    return track.kind === "audio" ? "sound of the own recording" : "picture of the own recording";
  }
  const screen = track.source?.startsWith("screen") ?? false;
  if (track.kind === "audio") return screen ? "sound of the screen" : "microphone";
  return screen ? "screen" : track.source === undefined ? "picture" : "camera";
}

const whole = (count: number) => count.toLocaleString("en");

function packetsText(track: TrackIntegrity): string {
  const { packetsReceived: got, packetsLost: lost, packetsRecovered: repaired } = track;
  const parts = [`${whole(got)} packets received`];
  if (repaired > 0) parts.push(`${whole(repaired)} sent again and recovered`);
  parts.push(lost > 0 ? `${whole(lost)} lost (${percent(lost / (got + lost))})` : "none lost");
  return parts.join(", ");
}

function percent(share: number): string {
  const value = share * 100;
  return value < 0.01 ? "under 0.01 %" : `${value < 1 ? value.toFixed(2) : value.toFixed(1)} %`;
}

function sizesText(track: TrackIntegrity): string | null {
  const sizes = track.resolutions ?? [];
  if (sizes.length === 0) return null;
  const shown = sizes
    .slice(0, LISTED)
    .map((size) => `${size.width} × ${size.height} from ${duration(size.startSeconds)}`);
  const more = sizes.length - shown.length;
  return shown.join(", ") + (more > 0 ? `, and ${more} more changes` : "");
}

function offsetText(integrity: Integrity): string {
  const offset = integrity.audioVideoOffsetMs;
  if (offset === null || offset === undefined) {
    return "Not known: the senders did not say how their clocks belong together.";
  }
  return `At most ${Math.abs(offset) < 1 ? "1" : Math.round(Math.abs(offset))} ms apart`;
}

function seconds(length: number): string {
  if (length >= 60) return `${duration(length)} min`;
  return length < 10 ? `${length.toFixed(1)} s` : `${Math.round(length)} s`;
}

/** The names people had, as far as their files say. */
function namesIn(recording: Recording): Map<string, string> {
  const names = new Map<string, string>();
  for (const file of recording.files) {
    if (file.participantId && file.participantName) {
      names.set(file.participantId, file.participantName);
    }
  }
  return names;
}
