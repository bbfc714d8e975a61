/** The server's side of watching: what there is, pieces of it, and where to begin in it. */

import { ApiError, unwrap } from "../../api";
import type { LiveListing, LiveStream } from "./model";

const PIECE = 1024 * 1024; // bytes

const livePath = (id: string) => `/api/v1/recordings/${encodeURIComponent(id)}/live`;

async function ask(url: string, headers: Record<string, string>, signal: AbortSignal) {
  try {
    return await fetch(url, { headers, signal, cache: "no-store" });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError("unreachable", "The server did not answer.", 0);
  }
}

async function askJson<T>(url: string, token: string, signal: AbortSignal): Promise<T> {
  const headers = { Accept: "application/json", Authorization: `Bearer ${token}` };
  const answer = await ask(url, headers, signal);
  return unwrap<T>(answer.status, await answer.text());
}

export const liveListing = (token: string, id: string, signal: AbortSignal) =>
  askJson<LiveListing>(livePath(id), token, signal);

/** Where playing may begin so that `at` seconds of the stream are shown. */
export const livePlace = (
  token: string,
  id: string,
  stream: LiveStream,
  at: number,
  signal: AbortSignal,
) => {
  const path = `${livePath(id)}/${encodeURIComponent(stream.streamId)}/place`;
  return askJson<{ offset: number; seconds: number }>(`${path}?at=${at}`, token, signal);
};

/** What is there from byte `offset` on, some of it; null when there is nothing new. */
export async function livePiece(
  stream: LiveStream,
  offset: number,
  signal: AbortSignal,
): Promise<ArrayBuffer | null> {
  const range = { Range: `bytes=${offset}-${offset + PIECE - 1}` };
  const answer = await ask(stream.url, range, signal);
  if (answer.status === 206) return answer.arrayBuffer();
  if (answer.status === 204) return null;
  return unwrap<never>(answer.status, await answer.text());
}
