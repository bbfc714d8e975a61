/**
 * Many files at once over few connections.
 *
 * A media element that has buffered enough stops reading and keeps its connection. Over HTTP/1.1 a
 * browser has six to a server, so a seventh element may wait for ever, and so may one that seeks.
 * Files that are fetched whole first hold none; HTTP/2 and 3 have no such limit.
 */

import { clipsOf, type Scene } from "./scene";

export type Supply = "streamed" | "fetched" | "too many";

/** Of six connections one is for everything else. */
const CONNECTIONS = 5;
const MOST_BYTES = 512 * 1024 * 1024;

/** `protocol` by its ALPN id: "http/1.1", "h2", ... */
export function supplyOf(scene: Scene, protocol: string): Supply {
  const files = clipsOf(scene).map((clip) => clip.file);
  if (files.length <= CONNECTIONS || !protocol.startsWith("http/1")) return "streamed";
  const bytes = files.reduce((sum, file) => sum + (file.size ?? 0), 0);
  return bytes <= MOST_BYTES ? "fetched" : "too many";
}

/** What this page came by. */
export function protocolOfPage(): string {
  const [entry] = performance.getEntriesByType("navigation");
  return (entry as PerformanceNavigationTiming | undefined)?.nextHopProtocol ?? "";
}

const AT_ONCE = 3;
let fetching = 0;
const queue: (() => void)[] = [];

/** An address of a copy in this browser; to be revoked. Throws when the file can't be fetched. */
export async function fetchWhole(url: string, signal: AbortSignal): Promise<string> {
  if (fetching >= AT_ONCE) await new Promise<void>((start) => queue.push(start));
  else fetching += 1;
  try {
    const answer = await fetch(url, { signal });
    if (!answer.ok) throw new Error(`the file could not be fetched: ${answer.status}`);
    return URL.createObjectURL(await answer.blob());
  } finally {
    // the place goes to the next, or is free
    const next = queue.shift();
    if (next) next();
    else fetching -= 1;
  }
}
