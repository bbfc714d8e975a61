/** How fast an upload is, over the last seconds. Pure: time is an argument. */

const WINDOW_MS = 8000;
const LEAST_MS = 700;

interface Sample {
  at: number;
  bytes: number;
}

export class Meter {
  private samples: Sample[] = [];

  /** `bytes` is what has been sent in all. Less than before (a part is sent again) starts over. */
  note(at: number, bytes: number): void {
    const last = this.samples.at(-1);
    if (last !== undefined && bytes < last.bytes) this.samples = [];
    this.samples.push({ at, bytes });
    while ((this.samples[1]?.at ?? at) < at - WINDOW_MS) this.samples.shift();
  }

  forget(): void {
    this.samples = [];
  }

  /** Bytes per second; null before enough is known. */
  rate(at: number): number | null {
    const [first] = this.samples;
    const last = this.samples.at(-1);
    if (first === undefined || last === undefined || at - first.at < LEAST_MS) return null;
    return ((last.bytes - first.bytes) * 1000) / (at - first.at);
  }
}

/** Null while nobody can tell. */
export function secondsLeft(left: number, rate: number | null): number | null {
  return rate === null || rate <= 0 ? null : left / rate;
}
