/**
 * So many requests at once, in the order in which they came. Browsers open six connections to a
 * server; uploads that took them all would keep the pages waiting.
 */
export class Lanes {
  private readonly waiting: (() => void)[] = [];

  constructor(private free: number) {}

  /** Throws what `signal` was aborted with, when that happens before it is this one's turn. */
  async run<T>(signal: AbortSignal, what: () => Promise<T>): Promise<T> {
    await this.enter(signal);
    try {
      return await what();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.free += 1;
      else next();
    }
  }

  private enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.free > 0) {
      this.free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        const place = this.waiting.indexOf(enter);
        if (place >= 0) this.waiting.splice(place, 1);
        reject(signal.reason as Error);
      };
      this.waiting.push(enter);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}
