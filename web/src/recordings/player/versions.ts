/**
 * The two recordings that there may be of one person: the server's, and the one that the person's
 * own browser made in best quality. Pure.
 */

import type { Integrity, RecordingFile } from "../../api";

export type Version = "own" | "server";

/** A file, or a piece of one, on the time line, in seconds from the recording's first media. */
export interface Clip {
  id: string;
  /** Where the file would have its beginning; before `start` for a piece. */
  origin: number;
  start: number;
  end: number;
  file: RecordingFile;
}

export interface Versions {
  own: Clip[];
  server: Clip[];
  /** The version that is shown when nobody has chosen. */
  usual: Version;
}

/** A file of the client's own recording, made in its browser. */
export const isOwn = (file: RecordingFile) => file.kind === "client";

/** Shorter holes are not worth opening a file for. */
const SHORTEST_HOLE = 0.5;
/** Seconds: the last picture of a part may be cut when its tab went. */
const A_MOMENT = 1;

export function versionsOf(files: RecordingFile[], integrity: Integrity | null): Versions {
  const server = files.filter((file) => !isOwn(file)).map(clipOf);
  const own = files.filter(isOwn).map(clipOf);
  const filled = [...own, ...fillers(server, own)].sort((a, b) => a.start - b.start);
  // holes are filled, so it is the better one unless what there is of it is damaged
  const better = own.length > 0 && (server.length === 0 || !isDamaged(own, integrity));
  return { own: own.length > 0 ? filled : [], server, usual: better ? "own" : "server" };
}

function clipOf(file: RecordingFile): Clip {
  const start = Math.max(0, file.startSeconds || 0);
  return { id: file.id, origin: start, start, end: start + (file.durationSeconds ?? 0), file };
}

/** Pieces of the server's files for where there is nothing of the other. */
function fillers(server: Clip[], own: Clip[]): Clip[] {
  return server.flatMap((clip) =>
    holes(clip, own)
      .filter(([start, end]) => end - start >= SHORTEST_HOLE)
      .map(([start, end]) => ({ ...clip, id: `${clip.id}@${start.toFixed(2)}`, start, end })),
  );
}

/** What of a clip's time none of the others has. */
function holes(clip: Clip, others: Clip[]): [start: number, end: number][] {
  const found: [number, number][] = [];
  let at = clip.start;
  for (const { start, end } of [...others].sort((a, b) => a.start - b.start)) {
    if (end <= at || start >= clip.end) continue;
    if (start > at) found.push([at, start]);
    at = Math.max(at, end);
  }
  if (at < clip.end) found.push([at, clip.end]);
  return found;
}

/** True when more than a moment of it is known to be missing or not to decode. */
function isDamaged(own: Clip[], integrity: Integrity | null): boolean {
  const people = new Set(own.map(({ file }) => file.participantId));
  const spans = (integrity?.tracks ?? [])
    .filter(({ source, trackId }) => source === "client" || trackId.startsWith("client/"))
    .filter(({ participantId }) => people.has(participantId))
    .flatMap(({ gaps, undecodable }) => [
      ...(undecodable ?? []),
      ...(gaps ?? []).filter(({ reason }) => reason === "missing"),
    ]);
  return spans.reduce((sum, { durationSeconds }) => sum + durationSeconds, 0) > A_MOMENT;
}
