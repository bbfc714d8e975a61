/** What is worth another try, and when. Pure. */

export const MOST_TRIES = 8;
const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/** True for what may go well a moment later: no answer, a timeout, too often, a busy server. */
export function isPassing(status: number): boolean {
  return status === 0 || status === 408 || status === 425 || status === 429 || status >= 500;
}

/**
 * Milliseconds until try `tried` + 1: doubled each time, half of it by chance, so that many
 * browsers don't come back together. What the server asked for is kept to.
 */
export function pauseMs(tried: number, random: () => number, retryAfter: number | null): number {
  const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** (tried - 1));
  const chosen = most / 2 + (most / 2) * random();
  return Math.max(chosen, Math.min(retryAfter ?? 0, 600) * 1000);
}
