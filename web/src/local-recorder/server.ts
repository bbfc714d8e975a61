/** The chunk routes of the server, as requests. */

import { retryAfterMs } from "./backoff";
import { contentDigest } from "./digest";
import type { ChunkKey, ChunkState, LocalPart, LocalSession } from "./types";
import { ServerError } from "./verdict";

/**
 * A token for the requests of a session. `refused` is the one that the server has just answered
 * with 401, null at first; null in return means that there is none to be had now.
 */
export type TokenSource = (
  session: LocalSession,
  refused: string | null,
) => string | null | Promise<string | null>;

type Fetch = typeof fetch;

interface Call {
  headers?: Record<string, string>;
  body?: BodyInit;
  /** Milliseconds. */
  patience?: number;
  keepalive?: boolean;
}

const PATIENCE = 20_000;
/** Bytes per millisecond: a connection slower than this is given up, and tried again. */
const SLOWEST = 16;

export class ChunkServer {
  private current: string | null = null;
  private refused: string | null = null;

  constructor(
    private readonly session: LocalSession,
    private readonly token: TokenSource,
    private readonly fetch: Fetch = (...call) => globalThis.fetch(...call),
  ) {}

  /** Announces a part, with what the server needs to place it on the recording's time line. */
  begin({ part, mimeType, source, startedAt }: LocalPart): Promise<ChunkState> {
    const sentAt = new Date().toISOString();
    return this.json("POST", this.path(), { part, mimeType, source, startedAt, sentAt });
  }

  state(): Promise<ChunkState> {
    return this.json("GET", this.path());
  }

  /** Resolves when the chunk is on the server's disk. */
  async put({ part, sequence }: ChunkKey, bytes: ArrayBuffer): Promise<void> {
    await this.request("PUT", this.path(`/${part}/${sequence}`), {
      headers: {
        "Content-Type": "application/octet-stream",
        "Content-Digest": await contentDigest(bytes),
      },
      body: bytes,
      patience: PATIENCE + Math.ceil(bytes.byteLength / SLOWEST),
    });
  }

  /** With `keepalive` it arrives although the page is closed meanwhile. */
  async complete(
    parts: { part: number; lastSequence: number }[],
    how: { keepalive?: boolean } = {},
  ): Promise<void> {
    await this.json("POST", this.path("/complete"), { parts }, how);
  }

  /** True while the server still takes media for the recording. */
  async isRunning(): Promise<boolean> {
    const path = `/api/v1/recordings/${encodeURIComponent(this.session.recordingId)}/status`;
    const { status } = await this.json<{ status: string }>("GET", path);
    return status === "starting" || status === "recording";
  }

  /** True when the application has another token than the one that was refused. */
  async renew(): Promise<boolean> {
    const next = await this.token(this.session, this.refused);
    if (next === null || next === this.refused) return false;
    this.current = next;
    return true;
  }

  private path(rest = ""): string {
    const { recordingId, participantId } = this.session;
    const [recording, participant] = [recordingId, participantId].map(encodeURIComponent);
    return `/api/v1/recordings/${recording}/chunks/${participant}${rest}`;
  }

  private async json<T>(method: string, path: string, body?: object, how: Call = {}): Promise<T> {
    const call = { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    return (await this.request(method, path, body === undefined ? how : { ...call, ...how })) as T;
  }

  /** The `data` of the answer. Throws ServerError. */
  private async request(method: string, path: string, call: Call): Promise<unknown> {
    this.current ??= await this.token(this.session, this.refused);
    if (this.current === null) throw new ServerError(401, "token_missing", "There is no token.");
    const used = this.current;
    let response: Response;
    let text: string;
    try {
      response = await this.fetch(this.session.baseUrl + path, {
        method,
        headers: { Accept: "application/json", Authorization: `Bearer ${used}`, ...call.headers },
        body: call.body,
        keepalive: call.keepalive,
        cache: "no-store",
        credentials: "omit",
        signal: AbortSignal.timeout(call.patience ?? PATIENCE),
      });
      text = await response.text();
    } catch {
      throw new ServerError(0, "unreachable", "The server did not answer.");
    }
    if (response.status === 401) {
      this.refused = used;
      this.current = null;
    }
    return unwrap(response, text);
  }
}

function unwrap(response: Response, text: string): unknown {
  const said = parsed(text);
  if (response.ok && said?.success === true) return said.data;
  const error = (said?.error ?? {}) as { code?: unknown; message?: unknown; details?: unknown };
  // an answer in another form is some proxy's, and not the server's last word
  const status = response.ok ? 502 : response.status;
  throw new ServerError(
    status,
    typeof error.code === "string" ? error.code : "bad_answer",
    typeof error.message === "string" ? error.message : `The server answered ${response.status}.`,
    error.details ?? null,
    retryAfterMs(response.headers.get("Retry-After"), Date.now()),
  );
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const said: unknown = JSON.parse(text);
    return typeof said === "object" && said !== null ? (said as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
