/** What is shown of a recording and when: its files on one time line. Pure. */

import type { Recording, RecordingFile } from "../../api";
import { personOf, playable } from "../model";

/** One file on the time line, in seconds from the recording's first media. */
export interface Clip {
  id: string;
  start: number;
  end: number;
  file: RecordingFile;
}

/** Somebody's camera or screen: one place on the stage, however many files it has. */
export interface Tile {
  key: string;
  person: string;
  seed: string;
  screen: boolean;
  clips: Clip[];
}

export interface Scene {
  /** "people", or the id of a composite. */
  id: string;
  tiles: Tile[];
  /** Seconds. */
  total: number;
}

export const PEOPLE = "people";

/** Ways to watch a recording: each composite, newest first, and the people side by side. */
export function scenesOf(recording: Recording): Scene[] {
  const files = playable(recording);
  const wholes = files.filter((file) => file.kind === "composite").reverse();
  const parts = files.filter((file) => file.kind !== "composite");
  const people = parts.filter((file) => file.kind === "participant");
  const scenes = wholes.map((file) => sceneOf(file.id, [file]));
  const shown = people.length > 0 ? people : parts;
  if (shown.length > 0) scenes.push(sceneOf(PEOPLE, shown));
  return scenes.filter((scene) => scene.total > 0);
}

function sceneOf(id: string, files: RecordingFile[]): Scene {
  const tiles = new Map<string, Tile>();
  let total = 0;
  for (const file of files) {
    const start = Math.max(0, file.startSeconds || 0);
    const clip = { id: file.id, start, end: start + (file.durationSeconds ?? 0), file };
    total = Math.max(total, clip.end);
    const screen = file.source === "screen";
    const key = `${file.participantId ?? ""} ${screen ? "screen" : "camera"}`;
    const tile = tiles.get(key);
    if (tile) tile.clips.push(clip);
    else {
      const person = personOf(file);
      tiles.set(key, { key, person, seed: file.participantId || id, screen, clips: [clip] });
    }
  }
  const ordered = [...tiles.values()].sort(
    (a, b) => Number(b.screen) - Number(a.screen) || startOf(a) - startOf(b),
  );
  return { id, tiles: ordered, total };
}

const startOf = (tile: Tile) => Math.min(...tile.clips.map((clip) => clip.start));

export const clipsOf = (scene: Scene): Clip[] => scene.tiles.flatMap((tile) => tile.clips);

/** The file of a tile that has the moment; of two the later one. */
export function clipAt(tile: Tile, at: number): Clip | null {
  return tile.clips.filter((clip) => clip.start <= at && at < clip.end).at(-1) ?? null;
}

const SOON = 1;

/** The file that a tile shows at a moment: also one that begins in a second, since nobody waits for it. */
export function shownAt(tile: Tile, at: number): Clip | null {
  const soon = (clip: Clip) => at < clip.start && clip.start - at < SOON;
  return clipAt(tile, at) ?? tile.clips.find(soon) ?? null;
}

/** Screens have a place only while they are shared, people also while they are away. */
export const hasPlace = (tile: Tile, at: number): boolean =>
  !tile.screen || shownAt(tile, at) !== null;

const AHEAD = 20;
const BEHIND = 5;

/** The clips worth having open around a moment, so that long calls don't open every file at once. */
export function near(tile: Tile, at: number): Clip[] {
  return tile.clips.filter((clip) => clip.start - AHEAD <= at && at <= clip.end + BEHIND);
}

/** Whose small pictures stand for a moment: a composite's, a screen's, else the first there are. */
export function pictured(scene: Scene, at: number, focus: string | null): Clip | null {
  const order = [...scene.tiles].sort(
    (a, b) =>
      Number(b.key === focus) - Number(a.key === focus) || Number(b.screen) - Number(a.screen),
  );
  for (const tile of order) {
    const clip = clipAt(tile, at);
    if (clip?.file.cues) return clip;
  }
  return null;
}
