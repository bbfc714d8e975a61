/** What is shown of a recording and when: its files on one time line. Pure. */

import type { Recording, RecordingFile } from "../../api";
import { personOf, playable } from "../model";
import { type Clip, isOwn, type Version, type Versions, versionsOf } from "./versions";

export type { Clip, Version } from "./versions";

/** Somebody's camera or screen: one place on the stage, however many files it has. */
export interface Tile {
  key: string;
  person: string;
  seed: string;
  screen: boolean;
  /** Of the version that is shown. */
  clips: Clip[];
  version: Version;
  /** There is more than one to choose from. */
  choice: boolean;
}

/** What was chosen for tiles, by their keys; the others show what is best. */
export type Choices = Readonly<Record<string, Version>>;

export interface Scene {
  /** "people", or the id of a composite. */
  id: string;
  tiles: Tile[];
  /** Seconds. */
  total: number;
}

export const PEOPLE = "people";

/** Ways to watch a recording: each composite, newest first, and the people side by side. */
export function scenesOf(recording: Recording, choices: Choices = {}): Scene[] {
  const files = playable(recording);
  const wholes = files.filter((file) => file.kind === "composite").reverse();
  const parts = files.filter((file) => file.kind !== "composite");
  const people = parts.filter((file) => file.kind === "participant");
  const tracks = parts.filter((file) => !isOwn(file));
  const scenes = wholes.map((file) => sceneOf(file.id, [file], recording, {}));
  const shown = [...(people.length > 0 ? people : tracks), ...parts.filter(isOwn)];
  if (shown.length > 0) scenes.push(sceneOf(PEOPLE, shown, recording, choices));
  return scenes.filter((scene) => scene.total > 0);
}

function sceneOf(
  id: string,
  files: RecordingFile[],
  { integrity }: Recording,
  choices: Choices,
): Scene {
  const groups = new Map<string, RecordingFile[]>();
  for (const file of files) {
    const key = `${file.participantId ?? ""} ${file.source === "screen" ? "screen" : "camera"}`;
    groups.set(key, [...(groups.get(key) ?? []), file]);
  }
  const tiles: Tile[] = [];
  let total = 0;
  for (const [key, [first, ...more]] of groups) {
    if (first === undefined) continue;
    const versions = versionsOf([first, ...more], integrity);
    total = Math.max(total, ...[...versions.own, ...versions.server].map(({ end }) => end));
    tiles.push(tileOf(id, key, first, versions, choices[key]));
  }
  const ordered = tiles.sort(
    (a, b) => Number(b.screen) - Number(a.screen) || startOf(a) - startOf(b),
  );
  return { id, tiles: ordered, total };
}

function tileOf(
  sceneId: string,
  key: string,
  file: RecordingFile,
  versions: Versions,
  chosen: Version | undefined,
): Tile {
  const choice = versions.own.length > 0 && versions.server.length > 0;
  const version = (choice ? chosen : undefined) ?? versions.usual;
  return {
    key,
    person: personOf(file),
    seed: file.participantId || sceneId,
    screen: file.source === "screen",
    clips: versions[version],
    version,
    choice,
  };
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
