/** One MediaRecorder session: its chunks, numbered, into the journal. */

import type { ChunkJournal } from "./journal";
import type { ChunkKey, LocalPart } from "./types";

export interface TakeHooks {
  /** The recorder runs: the part's time of beginning is known. */
  onBegin: (part: LocalPart) => void;
  /** The chunk is in the journal. */
  onChunk: (part: LocalPart, key: ChunkKey) => void;
  /** Media goes on, but the recorder has left some time out, or the clock it began by is another. */
  onBreak: () => void;
  /** It has ended, by whatever cause, and its last chunk is in the journal. */
  onEnd: (error: Error | null) => void;
}

/** The device's clock and the one that recorders count with may differ by so many milliseconds more. */
const SLEPT_MS = 2_000;

/**
 * What the device's clock shows beyond the one that recorders count with, in milliseconds. The latter
 * stands still while a device sleeps, where media leave the sleep out; elsewhere both go on.
 */
const clockLead = () => Date.now() - performance.now();

export class Take {
  /** Resolves when the last chunk is in the journal. */
  readonly ended: Promise<void>;
  private writes: Promise<unknown> = Promise.resolve();
  private problem: Error | null = null;
  private asked = false;
  private lead = clockLead();
  private readonly begunAt = performance.now();

  constructor(
    private readonly recorder: MediaRecorder,
    private part: LocalPart,
    private readonly journal: ChunkJournal,
    private readonly largest: () => number,
    private readonly hooks: TakeHooks,
  ) {
    this.ended = new Promise((resolve) => {
      recorder.addEventListener("stop", () => {
        void this.writes.then(() => {
          resolve();
          hooks.onEnd(this.problem);
        });
      });
    });
    recorder.addEventListener("start", () => {
      const mimeType = recorder.mimeType || this.part.mimeType;
      this.part = { ...this.part, mimeType, startedAt: new Date().toISOString() };
      this.lead = clockLead();
      this.announce();
    });
    recorder.addEventListener("dataavailable", ({ data }) => {
      this.keep(data);
      if (Math.abs(clockLead() - this.lead) > SLEPT_MS) this.broken();
    });
    // whoever paused it, a browser during a phone call for one
    recorder.addEventListener("resume", () => this.broken());
    recorder.addEventListener("error", (event) => {
      const { error } = event as Event & { error?: unknown };
      this.problem = error instanceof Error ? error : new Error("the recorder failed");
    });
  }

  /** Throws a DOMException when the browser can't record the stream. */
  start(timesliceMs: number): void {
    this.recorder.start(timesliceMs);
  }

  /** Has everything so far become a chunk now, rather than at the end of the slice. */
  flush(): void {
    if (this.recorder.state === "recording") this.recorder.requestData();
  }

  /** How long it has run, in milliseconds. */
  get age(): number {
    return performance.now() - this.begunAt;
  }

  /** True when `stop` was called: it has not ended by itself. */
  get wasAsked(): boolean {
    return this.asked;
  }

  async stop(): Promise<void> {
    this.asked = true;
    if (this.recorder.state !== "inactive") this.recorder.stop();
    await this.ended;
  }

  private broken(): void {
    this.lead = clockLead(); // once is enough
    if (!this.asked) this.hooks.onBreak();
  }

  private announce(): void {
    this.hooks.onBegin(this.part);
    this.track(this.journal.keepPart(this.part).catch(() => undefined)); // comes with each chunk
  }

  /**
   * Into the journal at once, since the page may be going. After a sleep a recorder may hand out a
   * chunk that is larger than the server takes: since only their order counts, it can be cut.
   */
  private keep(data: Blob): void {
    const largest = this.largest();
    for (let from = 0; from < data.size; from += largest) {
      this.append(from === 0 && data.size <= largest ? data : data.slice(from, from + largest));
    }
  }

  private append(bytes: Blob): void {
    const { part, next } = this.part;
    const key = { part, sequence: next, size: bytes.size };
    const grown = { ...this.part, next: next + 1, bytes: this.part.bytes + bytes.size };
    this.part = grown;
    const kept = this.journal.append(grown, key, bytes);
    this.track(kept.then(() => this.hooks.onChunk(grown, key)));
  }

  private track(work: Promise<unknown>): void {
    const settled = work.catch((error: unknown) => {
      this.problem ??= error instanceof Error ? error : new Error(String(error));
    });
    this.writes = Promise.all([this.writes, settled]);
  }
}
