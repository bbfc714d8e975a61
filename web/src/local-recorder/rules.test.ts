import { describe, expect, it } from "vitest";
import { retryAfterMs, waitMs } from "./backoff";
import { contentDigest } from "./digest";
import { mimeTypeFor, recorderOptions, videoBits } from "./quality";
import { isReceived, lastReceived, nextPart } from "./ranges";
import { isLow } from "./storage";
import { aStream } from "./made";
import { ServerError, type Verdict, verdictOf } from "./verdict";

describe("waiting", () => {
  const backoff = { baseMs: 100, capMs: 1000 };
  it("doubles the longest wait up to the cap, with full jitter", () => {
    const longest = [1, 2, 3, 4, 5, 500].map((count) => waitMs(count, null, () => 1, backoff));
    expect(longest).toEqual([100, 200, 400, 800, 1000, 1000]);
    expect(waitMs(9, null, () => 0, backoff)).toBe(0);
  });

  it("waits at least as long as the server asks, within reason", () => {
    expect(waitMs(1, 3000, () => 0, backoff)).toBe(3000);
    expect(waitMs(1, 1e12, () => 0, backoff)).toBe(600_000);
  });

  it.each([
    ["7", 7000],
    [" 0 ", 0],
    ["Thu, 01 Jan 1970 00:00:09 GMT", 8000],
    ["Thu, 01 Jan 1970 00:00:00 GMT", 0],
    ["soon", null],
    [null, null],
  ])("reads Retry-After %s", (header, ms) => {
    expect(retryAfterMs(header, 1000)).toBe(ms);
  });
});

describe("answers", () => {
  const cases: [number, string, Verdict][] = [
    [0, "unreachable", "again"],
    [429, "too_many_requests", "again"],
    [503, "overloaded", "again"],
    [507, "disk_low", "again"],
    [401, "token_expired", "token"],
    [422, "digest_mismatch", "damaged"],
    [409, "already_completed", "closed"],
    [409, "recording_ended", "closed"],
    [409, "chunks_missing", "holes"],
    [409, "chunk_conflict", "refused"],
    [403, "not_allowed", "refused"],
    [404, "recording_not_found", "refused"],
    [413, "chunk_too_large", "refused"],
  ];
  it.each(cases)("%i %s: %s", (status, code, verdict) => {
    expect(verdictOf(new ServerError(status, code, ""))).toBe(verdict);
  });
});

describe("the server's state", () => {
  const received: [number, number][] = [
    [0, 3],
    [7, 7],
  ];
  const state = { participantId: "a", parts: [{ part: 2, received, missing: [4, 5, 6], next: 4 }] };
  it("says what it has", () => {
    const seen = [0, 3, 4, 7, 8].map((n) => isReceived(state, { part: 2, sequence: n, size: 1 }));
    expect(seen).toEqual([true, true, false, true, false]);
    expect(isReceived(state, { part: 1, sequence: 0, size: 1 })).toBe(false);
  });

  it("says where the next part may begin", () => {
    expect([nextPart(state), nextPart(null)]).toEqual([3, 0]);
    expect([lastReceived(state, 2), lastReceived(state, 0)]).toEqual([7, -1]);
  });
});

describe("quality", () => {
  it("takes the first type that the browser records", () => {
    const mp4 = (type: string) => type.startsWith("video/mp4") || type.startsWith("audio/mp4");
    expect(mimeTypeFor(aStream("audio", "video"), () => true)).toBe("video/webm;codecs=vp8,opus");
    expect(mimeTypeFor(aStream("video"), mp4)).toBe("video/mp4;codecs=avc3.42E01F,mp4a.40.2");
    expect(mimeTypeFor(aStream("audio"), () => true)).toBe("audio/webm;codecs=opus");
    expect(mimeTypeFor(aStream("audio"), () => false)).toBeUndefined();
  });

  it("gives pictures bits by their size", () => {
    const hd = videoBits({ width: 1280, height: 720, frameRate: 30 });
    const full = videoBits({ width: 1920, height: 1080, frameRate: 30 });
    expect(hd).toBeGreaterThan(4_000_000);
    expect(full).toBeGreaterThan(2 * hd);
    expect(videoBits({ width: 64, height: 48 })).toBe(2_500_000);
    expect(videoBits({ width: 7680, height: 4320, frameRate: 60 })).toBe(20_000_000);
  });

  it("does what was asked for", () => {
    const asked = { mimeType: "video/webm", videoBitsPerSecond: 1, audioBitsPerSecond: 2 };
    expect(recorderOptions(aStream("audio"), asked)).toEqual(asked);
  });
});

it("digests as RFC 9530 says", async () => {
  const bytes = new TextEncoder().encode('{"hello": "world"}').buffer;
  expect(await contentDigest(bytes)).toBe("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
});

it("calls storage low near its quota only", () => {
  const gib = 2 ** 30;
  expect(isLow(1 * gib, 10 * gib)).toBe(false);
  expect(isLow(9.9 * gib, 10 * gib)).toBe(true);
  expect(isLow(0, 100_000)).toBe(false);
  expect(isLow(null, null)).toBe(false);
});
