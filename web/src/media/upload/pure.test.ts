import { describe, expect, it } from "vitest";
import { isPassing, pauseMs } from "./backoff";
import { refusal } from "./fakes";
import { Meter, secondsLeft } from "./meter";
import { bytesKept, missingParts, partCount, partRange, partsToTell } from "./parts";
import type { MultipartSession } from "./ports";
import { endsSession } from "./refusals";

function session(etags: Record<number, string>): MultipartSession {
  return { kind: "multipart", sessionKey: "s", storageKey: "k", partSize: 10, etags, sent: false };
}

describe("parts", () => {
  it.each([
    [1, 1],
    [10, 1],
    [11, 2],
    [100, 10],
  ])("%d bytes are %d parts", (size, count) => {
    expect(partCount(size, 10)).toBe(count);
    const ends = Array.from({ length: count }, (_, index) => partRange(index + 1, size, 10));
    expect(ends[0]?.[0]).toBe(0);
    expect(ends.at(-1)?.[1]).toBe(size);
  });
  it("knows what is missing and how much is there", () => {
    const some = session({ 1: "a", 4: "d" });
    expect(missingParts(some, 35)).toEqual([2, 3]);
    expect(bytesKept(some, 35)).toBe(15);
  });
  it("tells parts in their order, and none when one has no name", () => {
    expect(partsToTell(session({ 10: "j", 2: "b" }))).toEqual([
      { partNumber: 2, etag: "b" },
      { partNumber: 10, etag: "j" },
    ]);
    expect(partsToTell(session({ 1: "" }))).toBeUndefined();
  });
});

describe("meter", () => {
  it("is the speed of the last seconds", () => {
    const meter = new Meter();
    meter.note(0, 0);
    expect(meter.rate(500)).toBeNull();
    for (let second = 1; second <= 20; second += 1) meter.note(second * 1000, second * 1000);
    for (let second = 21; second <= 40; second += 1) meter.note(second * 1000, 20_000);
    expect(meter.rate(40_000)).toBe(0);
    expect(secondsLeft(100, 0)).toBeNull();
    expect(secondsLeft(100, 50)).toBe(2);
  });
  it("starts over when a part is sent again", () => {
    const meter = new Meter();
    meter.note(0, 500);
    meter.note(1000, 100);
    meter.note(2000, 200);
    expect(meter.rate(2000)).toBe(100);
  });
});

describe("backoff", () => {
  it("doubles up to half a minute, by chance", () => {
    expect([1, 2, 3, 12].map((tried) => pauseMs(tried, () => 1, null))).toEqual([
      500, 1000, 2000, 30_000,
    ]);
    expect(pauseMs(12, () => 0, null)).toBe(15_000);
    expect(pauseMs(1, () => 0, 9)).toBe(9000);
  });
  it.each([0, 408, 429, 500, 503])("%d may pass", (status) => expect(isPassing(status)).toBe(true));
  it.each([400, 403, 404, 413])("%d does not", (status) => expect(isPassing(status)).toBe(false));
});

describe("endsSession", () => {
  it.each([
    ["upload_over", 409],
    ["unknown_upload", 404],
    ["unsupported_format", 415],
    ["size_mismatch", 409],
  ])("%s: a new session is needed", (code, status) => {
    expect(endsSession(refusal(code, status))).toBe(true);
  });
  it.each([
    ["unreachable", 0],
    ["upload_busy", 409],
    ["upload_incomplete", 409],
    ["token_expired", 401],
    ["disk_low", 507],
    ["internal", 500],
  ])("%s: the session goes on", (code, status) => {
    expect(endsSession(refusal(code, status))).toBe(false);
  });
});
