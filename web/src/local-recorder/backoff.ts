/** When something refused is tried again. Pure. */

export interface Backoff {
  /** Milliseconds: the longest first wait, doubled with each failure. */
  baseMs: number;
  /** Milliseconds that no wait exceeds, unless the server asks for more. */
  capMs: number;
}

export const BACKOFF: Backoff = { baseMs: 500, capMs: 30_000 };

/** The longest time that a server may ask for. */
const LONGEST_ASKED_MS = 10 * 60_000;

/**
 * Full jitter: anything between nothing and the doubled wait, so that clients that failed together
 * don't come back together. What the server asked for is waited for at least.
 */
export function waitMs(
  failures: number,
  askedMs: number | null,
  random: () => number,
  { baseMs, capMs }: Backoff = BACKOFF,
): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(Math.max(0, failures - 1), 30));
  const asked = Math.min(askedMs ?? 0, LONGEST_ASKED_MS);
  return asked + random() * ceiling;
}

/** `Retry-After` in milliseconds: seconds or an HTTP date (RFC 9110, section 10.2.3). */
export function retryAfterMs(header: string | null, nowMs: number): number | null {
  const text = header?.trim() ?? "";
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}
