/** What an answer of the server means for what is still to be sent. Pure. */

import type { Refusal } from "./types";

/** Everything but success. `status` is 0 when no answer came at all. */
export class ServerError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: unknown = null,
    /** Milliseconds, from `Retry-After`. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
    this.name = "ServerError";
  }

  get refusal(): Refusal {
    return { status: this.status, code: this.code, message: this.message };
  }
}

export type Verdict =
  /** Later, with the same bytes. */
  | "again"
  /** With another token. */
  | "token"
  /** The bytes were changed on their way: again, but not for ever. */
  | "damaged"
  /** The set is closed. Fine if the server has everything. */
  | "closed"
  /** The server misses chunks that it was told to be complete with. */
  | "holes"
  /** Never. */
  | "refused";

const BY_CODE = new Map<string, Verdict>(
  Object.entries({
    digest_mismatch: "damaged",
    already_completed: "closed",
    recording_ended: "closed",
    chunks_missing: "holes",
  }),
);
const AGAIN: ReadonlySet<number> = new Set([0, 408, 425, 429]);

export function verdictOf({ status, code }: ServerError): Verdict {
  if (AGAIN.has(status) || status >= 500) return "again";
  if (status === 401) return "token";
  return BY_CODE.get(code) ?? "refused";
}
