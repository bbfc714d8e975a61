/* eslint-disable @typescript-eslint/require-await -- fakes answer at once */
/** A server, a bucket and a clock for the tests of uploads: nothing leaves the process. */

import { ApiError } from "../../api";
import type { MediaFile } from "../api";
import type { Ports, Sending, Sent, Session, UploadApi } from "./ports";

export const PART = 10;

type Step = Sent | "hang";

export function answer(status: number, more: Partial<Sent> = {}): Sent {
  return { status, text: "", etag: `"e${status}"`, retryAfter: null, ...more };
}

export function aFile(name = "film.mp4", size = 35, lastModified = 1): File {
  return new File(["x".repeat(size)], name, { type: "video/mp4", lastModified });
}

/** Files of more than three parts go in parts. `steps` are answers of the bucket, then 200. */
export class FakeWorld implements UploadApi {
  steps: Step[] = [];
  initiated = 0;
  aborted: string[] = [];
  reported: number[] = [];
  signed: number[] = [];
  sent: { url: string; size: number }[] = [];
  completed: Session[] = [];
  rests: number[] = [];
  atOnce = 0;
  mostAtOnce = 0;
  /** Errors that the next calls throw, by name of the method. */
  refusals: Partial<Record<"initiate" | "signPart" | "complete", ApiError[]>> = {};
  claimed = new Set<string>();
  private time = 0;

  readonly ports: Ports = {
    api: this,
    claims: {
      take: (key) => {
        this.claimed.add(key);
        return () => void this.claimed.delete(key);
      },
      taken: async () => new Set(this.claimed),
    },
    send: (what) => this.send(what),
    rest: async (ms, signal) => {
      this.rests.push(ms);
      this.time += ms;
      await Promise.resolve();
      signal.throwIfAborted();
    },
    now: () => (this.time += 10),
    random: () => 0.5,
  };

  async initiate(file: File): Promise<Session> {
    this.refuse("initiate");
    this.initiated += 1;
    const sessionKey = `s${this.initiated}`;
    const common = { sessionKey, storageKey: `k/${file.name}`, sent: false };
    if (file.size > 3 * PART) return { kind: "multipart", partSize: PART, etags: {}, ...common };
    return { kind: "form", uploadUrl: "/form", fields: { key: common.storageKey }, ...common };
  }

  async signPart(_sessionKey: string, partNumber: number) {
    this.refuse("signPart");
    this.signed.push(partNumber);
    return { partNumber, url: `/part/${partNumber}/${this.signed.length}` };
  }

  async complete(session: Session): Promise<MediaFile> {
    this.refuse("complete");
    this.completed.push(structuredClone(session));
    return { id: `m${this.completed.length}` } as MediaFile;
  }

  async report(_sessionKey: string, bytes: number): Promise<void> {
    this.reported.push(bytes);
  }

  async abort(sessionKey: string): Promise<void> {
    this.aborted.push(sessionKey);
  }

  private refuse(what: "initiate" | "signPart" | "complete"): void {
    const refusal = this.refusals[what]?.shift();
    if (refusal !== undefined) throw refusal;
  }

  private async send({ url, body, signal, onProgress }: Sending): Promise<Sent> {
    const size = body instanceof FormData ? (body.get("file") as File).size : body.size;
    this.sent.push({ url, size });
    this.atOnce += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.atOnce);
    try {
      onProgress(Math.floor(size / 2));
      await Promise.resolve();
      const step = this.steps.shift() ?? answer(200);
      if (step === "hang") await aborted(signal);
      signal.throwIfAborted();
      if (step !== "hang" && step.status === 200) onProgress(size);
      return step as Sent;
    } finally {
      this.atOnce -= 1;
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve());
  });
}

export function refusal(code: string, status: number, details: unknown = null): ApiError {
  return new ApiError(code, code, status, details);
}

export class FakeBox {
  private kept = new Map<string, string>();
  getItem = (key: string) => this.kept.get(key) ?? null;
  setItem = (key: string, value: string) => void this.kept.set(key, value);
}
