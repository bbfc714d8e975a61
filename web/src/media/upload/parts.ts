/** The parts of a large file, numbered from 1. Pure. */

import type { MultipartSession, Session } from "./ports";

export function partCount(size: number, partSize: number): number {
  return Math.max(1, Math.ceil(size / partSize));
}

/** First byte of a part and the one behind its last. */
export function partRange(number: number, size: number, partSize: number): [number, number] {
  return [(number - 1) * partSize, Math.min(number * partSize, size)];
}

export function missingParts(session: MultipartSession, size: number): number[] {
  const all = Array.from({ length: partCount(size, session.partSize) }, (_, index) => index + 1);
  return all.filter((number) => session.etags[number] === undefined);
}

/** Bytes of the parts that the store has. */
export function bytesKept(session: MultipartSession, size: number): number {
  return Object.keys(session.etags).reduce((sum, number) => {
    const [first, end] = partRange(Number(number), size, session.partSize);
    return sum + Math.max(0, end - first);
  }, 0);
}

/** What completing tells of the parts; undefined when the store must be asked for its names. */
export function partsToTell(
  session: MultipartSession,
): { partNumber: number; etag: string }[] | undefined {
  const parts = Object.entries(session.etags).map(([number, etag]) => ({
    partNumber: Number(number),
    etag,
  }));
  if (parts.some(({ etag }) => etag === "")) return undefined;
  return parts.sort((a, b) => a.partNumber - b.partNumber);
}

/** The server found parts missing, or of another size: they count as not sent. */
export function forgetMissing(session: Session, details: unknown): void {
  session.sent = false;
  if (session.kind !== "multipart") return;
  const named = numbersIn(details, "missing").concat(numbersIn(details, "wrongSize"));
  if (named.length === 0) session.etags = {};
  for (const number of named) delete session.etags[number];
}

function numbersIn(details: unknown, field: string): number[] {
  if (typeof details !== "object" || details === null) return [];
  const found = (details as Record<string, unknown>)[field];
  return Array.isArray(found) ? found.filter((one) => typeof one === "number") : [];
}
