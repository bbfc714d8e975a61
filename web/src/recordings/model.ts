/** What the library says about recordings. Pure. */

import type { Recording, RecordingFile, RecordingProgress, RecordingStatus } from "../api";

const ACTIVE: readonly RecordingStatus[] = ["starting", "recording"];
const UNDER_WAY: readonly RecordingStatus[] = [...ACTIVE, "processing", "uploading"];

export const isActive = (status: RecordingStatus) => ACTIVE.includes(status);
export const isUnderWay = (status: RecordingStatus) => UNDER_WAY.includes(status);

export interface Badge {
  text: string;
  tone: "ok" | "warn" | "danger" | "accent";
  pulsing: boolean;
}

const BADGES: Record<RecordingStatus, Badge> = {
  starting: { text: "Starting", tone: "danger", pulsing: true },
  recording: { text: "Recording", tone: "danger", pulsing: true },
  processing: { text: "Processing", tone: "warn", pulsing: false },
  uploading: { text: "Storing", tone: "warn", pulsing: false },
  recorded: { text: "Ready", tone: "ok", pulsing: false },
  failed: { text: "Failed", tone: "danger", pulsing: false },
};

export const badgeOf = (status: RecordingStatus): Badge => BADGES[status] ?? BADGES.failed;

export interface Stage {
  does: string;
  /** What it waits for, in words for people who can't mend it; null while it goes on. */
  waits: string | null;
  percent: number;
}

/** What is being done with a recording after its end; null is not known yet. */
export function stageOf(now: RecordingProgress | null): Stage {
  const percent = Math.round(Math.min(1, Math.max(0, now?.progress ?? 0)) * 100);
  const storing = now?.status === "uploading";
  const waits = storing
    ? "The storage can’t be reached. The recording is safe on the server, which tries again by itself."
    : "The server waits for room or memory, and goes on by itself.";
  return {
    does: storing ? "Storing the files" : "Putting the files together",
    waits: now?.error ? waits : null,
    percent,
  };
}

/** Files a person can play; not what was made of them for the player. */
export function playable(recording: Recording): RecordingFile[] {
  return recording.files.filter((file) => !file.role && /^(video|audio)\//.test(file.contentType));
}

/** The still picture that stands for a recording: a composite's, a screen's, else the first. */
export function posterOf(recording: Recording): string | null {
  const files = playable(recording).filter((file) => file.poster !== null);
  const best =
    files.find((file) => file.kind === "composite") ??
    files.find((file) => file.source === "screen") ??
    files[0];
  return best?.poster ?? null;
}

/** Distinct people in the files of a recording; null while there are no files yet. */
export function peopleIn(recording: Recording): number | null {
  const files = playable(recording).filter((file) => file.kind !== "composite");
  const people = new Set(files.map((file) => file.participantId ?? ""));
  return people.size === 0 ? null : people.size;
}

/** Whose file it is. */
export function personOf(file: RecordingFile): string {
  if (!file.participantId) return "Everyone";
  return file.participantName || nameIn(file.participantId);
}

function nameOf(file: RecordingFile): string {
  if (file.kind === "composite") {
    const sound = file.contentType.startsWith("audio/");
    return sound ? "Everyone, sound only" : "Everyone in one video";
  }
  const name = file.source === "screen" ? `${personOf(file)}’s screen` : personOf(file);
  return file.kind === "client" ? `${name}, own recording` : name;
}

/** A name for each file: the person's, and a number where one person has several alike. */
export function fileNames(recording: Recording): Map<string, string> {
  const counts = new Map<string, number>();
  const result = new Map<string, string>();
  for (const file of playable(recording)) {
    const name = nameOf(file);
    const slot = `${file.participantId ?? ""} ${file.source} ${file.kind}`;
    const count = (counts.get(slot) ?? 0) + 1;
    counts.set(slot, count);
    result.set(file.id, count === 1 ? name : `${name}, file ${count}`);
  }
  return result;
}

/**
 * The readable part of an identity. The server makes "ada-lovelace-3f9c1d2e4a5b" of a name; other
 * identities are their application's own and stay as they are.
 */
export function nameIn(identity: string): string {
  const made = /^([a-z0-9-]+)-[0-9a-f]{12}$/.exec(identity)?.[1];
  if (made === undefined) return identity;
  return made
    .split("-")
    .filter((word) => word !== "")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join(" ");
}

/** Newest first, one of each id: pages may shift between two requests. */
export function merge(pages: Recording[][]): Recording[] {
  const seen = new Map<string, Recording>();
  for (const page of pages) {
    for (const recording of page) if (!seen.has(recording.id)) seen.set(recording.id, recording);
  }
  return [...seen.values()];
}
