/** Sends the parts of a large file straight to where they are kept, some of them together. */

import { ApiError } from "../../api";
import { isPassing, MOST_TRIES, pauseMs } from "./backoff";
import { bytesKept, missingParts, partRange } from "./parts";
import { checkReadable } from "./readable";
import { refusedBy } from "./refusals";
import type { MultipartSession, Ports, Sent } from "./ports";

export const AT_ONCE = 3;

interface Hooks {
  /** Bytes of the file that have left, in all. */
  onProgress: (sent: number) => void;
  /** A part is there, and noted in the session. */
  onPart: () => void;
}

/**
 * Sends what the session has not, each part by an address signed just before. Parts that are there
 * stay there when this fails or is stopped. Throws `ApiError`, and what `signal` was aborted with.
 */
export async function sendParts(
  file: Blob,
  session: MultipartSession,
  ports: Ports,
  hooks: Hooks,
  signal: AbortSignal,
): Promise<void> {
  const waiting = missingParts(session, file.size);
  const moving = new Map<number, number>();
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const told = () => {
    const flying = [...moving.values()].reduce((sum, bytes) => sum + bytes, 0);
    hooks.onProgress(bytesKept(session, file.size) + flying);
  };
  const worker = async () => {
    for (let number = waiting.shift(); number !== undefined; number = waiting.shift()) {
      const part = number;
      const onProgress = (sent: number) => {
        moving.set(part, sent);
        told();
      };
      session.etags[part] = await sendPart(file, session, part, ports, onProgress, either);
      moving.delete(part);
      hooks.onPart();
      told();
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  } catch (error) {
    stop.abort();
    signal.throwIfAborted();
    throw error;
  }
}

/** The part's ETag, "" where the store does not say it. Throws `ApiError`. */
async function sendPart(
  file: Blob,
  session: MultipartSession,
  number: number,
  ports: Ports,
  onProgress: (sent: number) => void,
  signal: AbortSignal,
): Promise<string> {
  const body = file.slice(...partRange(number, file.size, session.partSize));
  let signedAgain = false;
  for (let tried = 1; ; tried += 1) {
    const answer = await attempt(number, body, session, ports, onProgress, signal);
    signal.throwIfAborted();
    if (answer.status >= 200 && answer.status < 300) return answer.etag ?? "";
    onProgress(0);
    if (answer.status === 0) await checkReadable(body);
    // the address was too old, or the store's clock is another
    const stale = (answer.status === 403 || answer.status === 400) && !signedAgain;
    if (stale) signedAgain = true;
    else if (!isPassing(answer.status) || tried >= MOST_TRIES) throw refusedBy(answer);
    if (!stale) await ports.rest(pauseMs(tried, ports.random, answer.retryAfter), signal);
  }
}

/** One address and one try. Throws `ApiError` when the server will not sign any more. */
async function attempt(
  number: number,
  body: Blob,
  session: MultipartSession,
  ports: Ports,
  onProgress: (sent: number) => void,
  signal: AbortSignal,
): Promise<Sent> {
  try {
    const { url, headers } = await ports.api.signPart(session.sessionKey, number, signal);
    return await ports.send({ method: "PUT", url, headers, body, signal, onProgress });
  } catch (error) {
    if (!(error instanceof ApiError) || !isPassing(error.status)) throw error;
    const { status, retryAfter } = error;
    return { status, retryAfter, text: "", etag: null };
  }
}
