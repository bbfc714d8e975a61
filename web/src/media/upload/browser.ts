/** The browser's side of an upload: requests that tell how far they are, clocks, the network. */

import { lockClaims } from "./claims";
import { Lanes } from "./lanes";
import type { Ports, Sending, Sent } from "./ports";

/** A request that has moved nothing for so long is over. */
const STALL_MS = 120_000;
/** Set by the browser itself; it refuses to be told. */
const FORBIDDEN = new Set(["host", "content-length"]);

/** `fetch` does not tell how much of a body has left, so this is the older way. */
function send({ method, url, headers, body, signal, onProgress }: Sending): Promise<Sent> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(reasonOf(signal));
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    let watch = 0;
    const moved = () => {
      window.clearTimeout(watch);
      watch = window.setTimeout(stop, STALL_MS);
    };
    const end = () => {
      window.clearTimeout(watch);
      signal.removeEventListener("abort", stop);
      if (signal.aborted) return reject(reasonOf(signal));
      resolve({
        status: request.status,
        text: request.status === 0 ? "" : request.responseText,
        etag: headerOf(request, "ETag"),
        retryAfter: Number(headerOf(request, "Retry-After")) || null,
      });
    };
    signal.addEventListener("abort", stop);
    request.upload.addEventListener("progress", (event) => {
      moved();
      onProgress(event.loaded);
    });
    request.addEventListener("loadend", end);
    request.open(method, url);
    for (const [name, value] of Object.entries(headers ?? {})) {
      if (!FORBIDDEN.has(name.toLowerCase())) request.setRequestHeader(name, value);
    }
    moved();
    request.send(body);
  });
}

/** Asking for a header that a bucket does not expose is an error on the console. */
function headerOf(request: XMLHttpRequest, name: string): string | null {
  const exposed = request.getAllResponseHeaders().toLowerCase();
  const there = exposed.startsWith(`${name.toLowerCase()}:`);
  return there || exposed.includes(`\n${name.toLowerCase()}:`)
    ? request.getResponseHeader(name)
    : null;
}

function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      window.clearTimeout(timer);
      window.removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      if (signal.aborted) reject(reasonOf(signal));
      else resolve();
    };
    const timer = window.setTimeout(end, ms);
    window.addEventListener("online", end);
    signal.addEventListener("abort", end);
  });
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error("stopped");
}

const lanes = new Lanes(4);

export const browserPorts: Omit<Ports, "api"> = {
  send: (what) => lanes.run(what.signal, () => send(what)),
  claims: lockClaims(navigator.locks),
  rest,
  now: () => performance.now(),
  random: Math.random,
};
