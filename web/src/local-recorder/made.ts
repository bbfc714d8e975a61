/** A chunk server, a MediaRecorder and Web Locks for unit tests: small, and true to their contracts. */

import type { ChunkState, LocalSession } from "./types";

export const aSession = (change: Partial<LocalSession> = {}): LocalSession => ({
  id: "s1",
  baseUrl: "",
  recordingId: "RC_1",
  participantId: "ana",
  createdAt: 0,
  ended: false,
  refused: null,
  context: null,
  ...change,
});

export interface Seen {
  method: string;
  path: string;
  status: number;
  token: string;
  digest: string | null;
}

/** An answer that stands in for the real one. "lost" takes the request in and drops the
 * answer. */
export type Trouble =
  "none" | "lost" | "down" | { status: number; code?: string; retryAfter?: string };

export class FakeServer {
  readonly chunks = new Map<string, Uint8Array>();
  readonly announced = new Map<number, Record<string, unknown>>();
  readonly seen: Seen[] = [];
  completed: unknown = null;
  running = false;
  /** What happens to the next requests of a method, first come first served. */
  readonly trouble = new Map<string, Trouble[]>();
  /** What the server says that it has, when that is not the truth. */
  hides: (name: string) => boolean = () => false;

  fetch: typeof fetch = async (input, init = {}) => {
    await Promise.resolve();
    const path = input as string;
    const method = init.method ?? "GET";
    const headers = new Headers(init.headers);
    const trouble = this.trouble.get(method)?.shift();
    if (trouble === "down") throw new TypeError("Failed to fetch");
    const { status, body } =
      typeof trouble === "object" ? refusal(trouble) : this.answer(method, path, init.body);
    this.seen.push({
      method,
      path,
      status,
      token: headers.get("Authorization")?.slice(7) ?? "",
      digest: headers.get("Content-Digest"),
    });
    if (trouble === "lost") throw new TypeError("Failed to fetch");
    const retry = typeof trouble === "object" ? trouble.retryAfter : undefined;
    return new Response(JSON.stringify(body), {
      status,
      headers: retry === undefined ? {} : { "Retry-After": retry },
    });
  };

  /** The names of the chunks that were put, in order, with repetitions. */
  puts(status?: number): string[] {
    return this.seen
      .filter((one) => one.method === "PUT" && (status === undefined || one.status === status))
      .map((one) => one.path.split("/").slice(-2).join("/"));
  }

  private answer(method: string, path: string, body: BodyInit | null | undefined) {
    const rest = path.split("/chunks/ana")[1];
    if (path.endsWith("/status")) return ok({ status: this.running ? "recording" : "recorded" });
    if (method === "GET") return ok(this.state());
    if (method === "PUT") return this.put((rest ?? "").slice(1), body as ArrayBuffer);
    const said = JSON.parse(body as string) as Record<string, unknown>;
    if (rest === "/complete") return this.complete(said);
    if (this.completed !== null) return refusal({ status: 409, code: "already_completed" });
    const part = (said.part as number | undefined) ?? 0;
    this.announced.set(part, this.announced.get(part) ?? said);
    return ok(this.state());
  }

  private put(name: string, bytes: ArrayBuffer) {
    const before = this.chunks.get(name);
    const now = new Uint8Array(bytes.slice(0));
    if (before && String(before) !== String(now)) {
      return refusal({ status: 409, code: "chunk_conflict" });
    }
    this.chunks.set(name, now);
    return ok({}, before ? 200 : 201);
  }

  private complete({ parts }: Record<string, unknown>) {
    for (const { part, lastSequence } of parts as { part: number; lastSequence: number }[]) {
      for (let sequence = 0; sequence <= lastSequence; sequence += 1) {
        if (this.chunks.has(`${part}/${sequence}`)) continue;
        return refusal({ status: 409, code: "chunks_missing" }, this.state());
      }
    }
    this.completed = parts;
    return ok({}, 202);
  }

  private state(): ChunkState {
    const parts = new Map<number, number[]>();
    for (const name of this.chunks.keys()) {
      if (this.hides(name)) continue;
      const [part = 0, sequence = 0] = name.split("/").map(Number);
      parts.set(part, [...(parts.get(part) ?? []), sequence]);
    }
    return {
      participantId: "ana",
      parts: [...parts].map(([part, has]) => ({
        part,
        received: has.map((one) => [one, one]),
        missing: [],
        next: Math.max(...has) + 1,
      })),
    };
  }
}

const ok = (data: unknown, status = 200) => ({ status, body: { success: true, data } });

function refusal(
  { status, code = "refused" }: { status: number; code?: string },
  details?: unknown,
) {
  return {
    status,
    body: { success: false, error: { code, message: `refused: ${code}`, details } },
  };
}

/** Gives what a test tells it to. */
export class FakeRecorder extends EventTarget {
  state: "inactive" | "recording" | "paused" = "inactive";
  mimeType: string;
  flushed = 0;

  constructor(
    readonly stream: MediaStream,
    readonly options: MediaRecorderOptions,
  ) {
    super();
    this.mimeType = options.mimeType ?? "video/webm";
  }

  start(): void {
    this.state = "recording";
    this.dispatchEvent(new Event("start"));
  }

  requestData(): void {
    this.flushed += 1;
  }

  give(text: string): void {
    const event = new Event("dataavailable");
    this.dispatchEvent(Object.assign(event, { data: new Blob([text]) }));
  }

  stop(): void {
    this.state = "inactive";
    this.give("last");
    this.dispatchEvent(new Event("stop"));
  }
}

/** Exclusive locks of one browser, shared by its tabs. */
export class FakeLocks {
  private readonly held = new Map<string, (error: Error) => void>();

  request = (async (
    name: string,
    { steal = false }: LockOptions,
    work: (lock: object | null) => Promise<void> | void,
  ) => {
    if (this.held.has(name) && !steal) return work(null);
    this.held.get(name)?.(new Error("stolen"));
    const lost = new Promise<never>((_, reject) => this.held.set(name, reject));
    const mine = this.held.get(name);
    try {
      await Promise.race([lost, work({})]);
    } finally {
      if (this.held.get(name) === mine) this.held.delete(name);
    }
  }) as LockManager["request"];
}

export const aStream = (...kinds: ("audio" | "video")[]): MediaStream => {
  const tracks = kinds.map((kind) => ({ kind, getSettings: () => ({}) }));
  return {
    active: true,
    getVideoTracks: () => tracks.filter(({ kind }) => kind === "video"),
    getAudioTracks: () => tracks.filter(({ kind }) => kind === "audio"),
  } as unknown as MediaStream;
};
