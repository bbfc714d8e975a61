/**
 * Signed links stay what they are for as long as they are good. The server signs anew with each
 * answer, and a browser would fetch every picture again. Pure.
 */

import type { MediaFile } from "./api";

/** A link that holds no longer than this is replaced, in seconds. */
const SHORTEST = 30 * 60;

/** The newer of two answers about the same files, with the older one's links where they still do. */
export function withKnownLinks(
  before: readonly MediaFile[],
  files: readonly MediaFile[],
  nowSeconds: number,
): MediaFile[] {
  const known = new Map(before.map((file) => [file.id, file]));
  return files.map((file) => {
    const old = known.get(file.id);
    return old === undefined ? file : withLinksOf(old, file, nowSeconds);
  });
}

function withLinksOf(old: MediaFile, file: MediaFile, nowSeconds: number): MediaFile {
  const captions = file.captions.map((each) => {
    // other cues under the same address: the link must not be the same, or they would not be loaded
    const same = old.captions.find((one) => one.language === each.language);
    const url = same?.cues === each.cues ? stable(same.url, each.url, nowSeconds) : each.url;
    return { ...each, url };
  });
  const thumbnailUrl = stable(old.thumbnailUrl, file.thumbnailUrl, nowSeconds);
  return { ...file, captions, thumbnailUrl };
}

export function stable(old: string | null, url: string | null, nowSeconds: number): string | null {
  if (old === null || url === null || pathOf(old) !== pathOf(url)) return url;
  const expiry = Number(/[?&]sig=(\d+)\./.exec(old)?.[1] ?? 0);
  return expiry - nowSeconds > SHORTEST ? old : url;
}

function pathOf(url: string): string {
  return url.split("?", 1)[0] ?? "";
}
