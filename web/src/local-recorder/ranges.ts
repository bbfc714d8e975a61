/** Which chunks the server has. Pure. */

import type { ChunkKey, ChunkState } from "./types";

export function isReceived(state: ChunkState, { part, sequence }: ChunkKey): boolean {
  const found = state.parts.find((one) => one.part === part);
  return found?.received.some(([first, last]) => first <= sequence && sequence <= last) ?? false;
}

/** One more than the highest part that the server knows; 0 when it knows none. */
export function nextPart(state: ChunkState | null): number {
  return Math.max(0, ...(state?.parts ?? []).map(({ part }) => part + 1));
}

/** The last sequence that the server has of a part; -1 when it has none. */
export function lastReceived(state: ChunkState | null, part: number): number {
  const found = state?.parts.find((one) => one.part === part);
  return Math.max(-1, ...(found?.received ?? []).map(([, last]) => last));
}
