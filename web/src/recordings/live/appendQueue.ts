/** Appends and removals on a SourceBuffer, which takes one at a time. */

/** What of a SourceBuffer is used. */
export interface Sink {
  readonly updating: boolean;
  appendBuffer(data: ArrayBuffer): void;
  remove(start: number, end: number): void;
  abort(): void;
  addEventListener(type: "updateend" | "error", listener: () => void): void;
}

export type Appended = "appended" | "full";

interface Job {
  run: () => void;
  resolve: (outcome: Appended) => void;
  reject: (reason: Error) => void;
}

/** Runs jobs in order; a job that finds no room ends as "full", and the next one is tried. */
export class AppendQueue {
  private readonly jobs: Job[] = [];
  private current: Job | null = null;
  private failed = false;

  constructor(private readonly sink: Sink) {
    sink.addEventListener("updateend", () => this.ended());
    sink.addEventListener("error", () => {
      this.failed = true; // "updateend" follows
    });
  }

  get busy(): boolean {
    return this.current !== null || this.jobs.length > 0;
  }

  append(data: ArrayBuffer): Promise<Appended> {
    return this.add(() => this.sink.appendBuffer(data));
  }

  remove(start: number, end: number): Promise<Appended> {
    return this.add(() => this.sink.remove(start, end));
  }

  /** Forgets a half appended piece, so that another place may follow. Only while not `busy`. */
  reset(): void {
    if (!this.busy) this.sink.abort();
  }

  private add(run: () => void): Promise<Appended> {
    return new Promise((resolve, reject) => {
      this.jobs.push({ run, resolve, reject });
      this.next();
    });
  }

  private next(): void {
    while (this.current === null && !this.sink.updating) {
      const job = this.jobs.shift();
      if (job === undefined) return;
      try {
        job.run();
        this.current = job;
      } catch (error) {
        if (isFull(error)) job.resolve("full");
        else job.reject(error instanceof Error ? error : new Error(String(error)));
      }
    }
  }

  private ended(): void {
    const job = this.current;
    this.current = null;
    if (this.failed) job?.reject(new Error("the browser can’t read this stream"));
    else job?.resolve("appended");
    this.failed = false;
    this.next();
  }
}

function isFull(error: unknown): boolean {
  return (
    typeof error === "object" &&
    error !== null &&
    "name" in error &&
    error.name === "QuotaExceededError"
  );
}
