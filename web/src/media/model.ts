/** What the library's pages derive from media files. Pure. */

import type { MediaFile, MediaFilter, Rendition } from "./api";

export type Order = "newest" | "oldest" | "name" | "largest" | "longest";

export interface View {
  filter: MediaFilter;
  order: Order;
  deleted: boolean;
}

export const ORDERS: readonly [Order, string][] = [
  ["newest", "Newest first"],
  ["oldest", "Oldest first"],
  ["name", "By name"],
  ["largest", "Largest first"],
  ["longest", "Longest first"],
];

/** Pages may overlap when something was added meanwhile. */
export function merged(pages: readonly MediaFile[][]): MediaFile[] {
  return [...new Map(pages.flat().map((file) => [file.id, file])).values()];
}

export function isNarrowed({ filter }: View): boolean {
  return Object.values(filter).some(Boolean);
}

/** After that long a picture that is missing will stay so. */
const PICTURE_MS = 60_000;

/** True while the server makes something of it, so that it is worth asking again soon. */
export function isWorking(file: MediaFile, nowMs: number): boolean {
  const unseen = file.fileType === "video" && file.thumbnailUrl === null && file.deletedAt === null;
  const young = nowMs - Date.parse(file.createdAt) < PICTURE_MS;
  return file.status === "processing" || (unseen && young) || file.renditions.some(isMaking);
}

export function isMaking({ status }: Rendition): boolean {
  return status === "queued" || status === "processing" || status === "uploading";
}

export function isMade({ status, url }: Rendition): boolean {
  return status === "done" && url !== null;
}

/** Tags in use, in alphabetical order; the one that is chosen is always among them. */
export function tagsIn(files: readonly MediaFile[], chosen: string | undefined): string[] {
  const tags = new Set(files.flatMap((file) => file.tags));
  if (chosen) tags.add(chosen);
  return [...tags].sort((a, b) => a.localeCompare(b));
}

/** What somebody typed as tags: separated by commas, each once, without blanks around. */
export function tagsFrom(typed: string): string[] {
  const tags = typed.split(",").map((tag) => tag.trim());
  return [...new Set(tags.filter((tag) => tag !== ""))];
}

/** The boxes that films are made to fit, lying or standing, as the server has them. */
const BOXES = [
  ["240p", 426, 240],
  ["360p", 640, 360],
  ["480p", 854, 480],
  ["720p", 1280, 720],
  ["1080p", 1920, 1080],
] as const;

/** What is worth making: nothing that only makes the file larger, nothing that is there. */
export function renditionsToMake(file: MediaFile): string[] {
  const there = new Set(
    file.renditions.filter((one) => isMade(one) || isMaking(one)).map(({ name }) => name),
  );
  const { width, height } = file;
  const sizes = width === null || height === null ? [] : sizesWithin(width, height);
  return [...sizes, "hls"].filter((name) => !there.has(name));
}

function sizesWithin(width: number, height: number): string[] {
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  return BOXES.filter((_, index) => {
    const [, smallerLong, smallerShort] = BOXES[index - 1] ?? ["", 0, 0];
    return long > smallerLong || short > smallerShort;
  }).map(([name]) => name);
}
