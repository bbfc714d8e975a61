/** Stretches of buffered time, as `TimeRanges` has them. Pure; seconds. */

export type Range = readonly [start: number, end: number];

/** A hole this short is played over. */
const HOLE = 0.15;

export function rangesOf(ranges: TimeRanges): Range[] {
  return Array.from(
    { length: ranges.length },
    (_, index) => [ranges.start(index), ranges.end(index)] as const,
  );
}

/** The stretch that `at` lies in, holes that are played over closed; null outside of all. */
export function rangeAt(ranges: readonly Range[], at: number): Range | null {
  let found: [number, number] | null = null;
  for (const [start, end] of ranges) {
    if (found !== null && start - found[1] <= HOLE) found[1] = end;
    else if (found !== null && at < found[1]) break;
    else found = [start, end];
  }
  return found !== null && at >= found[0] - HOLE && at < found[1] ? found : null;
}

/** How long can be played from `at` on; 0 outside of all stretches. */
export function aheadOf(ranges: readonly Range[], at: number): number {
  const range = rangeAt(ranges, at);
  return range === null ? 0 : range[1] - Math.max(at, range[0]);
}

export interface Plan {
  /** Go on with what follows what was fetched last, begin elsewhere, or fetch nothing now. */
  next: "on" | "elsewhere" | "rest";
  /** For "elsewhere": what is needed there. */
  at: number;
}

/**
 * What to fetch when playing is at `at`. `head` is where what is fetched next belongs, null before
 * anything was; `enough` how much is wanted ahead.
 */
export function planFetch(
  ranges: readonly Range[],
  at: number,
  head: number | null,
  enough: number,
): Plan {
  if (head === null) return { next: "on", at };
  const range = rangeAt(ranges, at);
  if (range === null) {
    const close = at >= head - HOLE && at - head < enough / 2;
    return { next: close ? "on" : "elsewhere", at };
  }
  if (range[1] - at >= enough) return { next: "rest", at };
  const joins = Math.abs(range[1] - head) <= 1;
  return { next: joins ? "on" : "elsewhere", at: range[1] - HOLE };
}

/** What may go when the browser has no room: far behind `at` first, else far ahead; null is nothing. */
export function victim(
  ranges: readonly Range[],
  at: number,
  behind: number,
  ahead: number,
): Range | null {
  const first = ranges[0];
  const last = ranges[ranges.length - 1];
  if (first === undefined || last === undefined) return null;
  if (first[0] < at - behind) return [first[0], at - behind];
  if (last[1] > at + ahead) return [at + ahead, last[1]];
  return null;
}
