/** What a failed or lost connection means: try again, or say why it is over. Pure. */

import { ConnectionErrorReason, DisconnectReason } from "livekit-client";
import type { Explained } from "../explain";

export type Verdict = { kind: "retry" } | { kind: "over"; why: Explained };

const RETRY: Verdict = { kind: "retry" };
const over = (title: string, advice: string): Verdict => ({ kind: "over", why: { title, advice } });

/** After a call that stood has ended without the person asking for it. */
export function afterDisconnect(reason: DisconnectReason | undefined): Verdict {
  switch (reason) {
    case DisconnectReason.DUPLICATE_IDENTITY:
      return over(
        "You joined this call somewhere else",
        "The same place was taken in another tab or device. Join again to bring it back here.",
      );
    case DisconnectReason.PARTICIPANT_REMOVED:
      return over("The host removed you from the call", "Ask the host for a new invite to return.");
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return over("The call has been ended", "The host closed this room.");
    case DisconnectReason.JOIN_FAILURE:
      return over(
        "No media connection to the server",
        "The media port (UDP 7882) may be blocked between you and the server. Ask its operator.",
      );
    default:
      return RETRY;
  }
}

interface Refusal {
  reason?: unknown;
  context?: unknown;
  message?: string;
}

/** After `connect` failed. `wasConnected`: this page has been in the call before. */
export function afterRefusal(error: unknown, wasConnected: boolean): Verdict {
  const { reason, context, message } = (error ?? {}) as Refusal;
  if (reason === ConnectionErrorReason.NotAllowed) {
    return over(
      "The server did not let you in",
      "Your place in this room has expired or is not valid. Join again, or ask for a new invite.",
    );
  }
  if (reason === ConnectionErrorReason.LeaveRequest && typeof context === "number") {
    const verdict = afterDisconnect(context);
    if (verdict.kind === "over") return verdict;
  }
  if (wasConnected) return RETRY;
  if (message?.includes("pc connection") || message?.includes("PeerConnection")) {
    return afterDisconnect(DisconnectReason.JOIN_FAILURE);
  }
  return over(
    "The call could not be reached",
    "Check your connection and that the server is running, then try again.",
  );
}

const DELAYS = [1, 2, 4, 8, 15];

/** Seconds to wait before the given attempt, counted from 0. */
export function retryDelay(attempt: number): number {
  return DELAYS[Math.min(attempt, DELAYS.length - 1)] ?? 15;
}

/** Where to signal: what the token's answer named, unless the browser would block it. */
export function signalUrl(url: string | null, origin: string): string {
  if (!url) return origin;
  return origin.startsWith("https:") && /^(ws|http):/.test(url) ? origin : url;
}
