/** What people are told of a recording that their own browser makes. Pure. */

import type { Explained } from "../explain";
import { fileSize } from "../format";
import type { Progress } from "../local-recorder";

/** "12 of 30 MB": both in the unit of the larger one. */
export function savedOf({ bytesSaved, bytesTotal }: Progress): string {
  const total = fileSize(bytesTotal);
  const unit = total.split(" ")[1] ?? "B";
  const scale = bytesTotal < 1000 ? 1 : bytesTotal / Number(total.split(" ")[0]);
  const saved =
    bytesSaved === bytesTotal || scale === 1
      ? fileSize(bytesSaved).split(" ")[0]
      : inUnit(bytesSaved / scale);
  return `${saved} of ${total.split(" ")[0]} ${unit}`;
}

const inUnit = (value: number) => (value < 10 ? value.toFixed(1) : String(Math.floor(value)));

/** What the sending waits for; null while it goes on. */
export function waitOf({ waiting, phase }: Progress): string | null {
  switch (waiting) {
    case "network":
      return phase === "recording"
        ? "No connection to the server. It is kept in this browser and sent later."
        : "No connection to the server. It goes on by itself.";
    case "server":
      return "The server is busy or short of space. It goes on by itself.";
    case "token":
      return "The server asks for a new sign-in. Open the room, or sign in as its host.";
    case "recording":
      return "All of it is saved. It is finished when the recording ends.";
    case null:
      return null;
  }
}

const REFUSALS = new Map<string, string>(
  Object.entries({
    recording_ended: "The recording was finished before this arrived.",
    already_completed: "Your part of this recording was finished already.",
    recording_not_found: "The recording has been deleted.",
    chunk_conflict: "The server has something else in its place.",
    chunks_missing: "This browser has lost a piece of it that the server misses.",
    chunks_too_many_bytes: "It is larger than the server allows.",
    chunk_too_large: "A piece of it is larger than the server allows.",
    not_your_chunks: "You are somebody else now: it was recorded under another name.",
    not_allowed: "Your place in the room does not allow it.",
  }),
);

/** Why the server takes no more of it, and what to do. */
export function refusalOf({ refusal, context }: Progress): Explained {
  const why = REFUSALS.get(refusal?.code ?? "") ?? refusal?.message ?? "";
  const { room } = (context ?? {}) as { room?: string };
  return {
    title: `The server does not take your recording${room ? ` of “${room}”` : ""}`,
    advice: `${why} What this browser has of it is kept: save it to a file, or try again.`,
  };
}

export const percentOf = ({ bytesSaved, bytesTotal }: Progress): number =>
  bytesTotal === 0 ? 0 : Math.floor((100 * bytesSaved) / bytesTotal);
