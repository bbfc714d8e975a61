import { describe, expect, it } from "vitest";
import type { Progress } from "../local-recorder";
import { percentOf, refusalOf, savedOf, waitOf } from "./words";

const progress = (change: Partial<Progress>): Progress => ({
  id: "s1",
  recordingId: "RC_1",
  participantId: "ana",
  context: { room: "team" },
  phase: "sending",
  waiting: null,
  bytesTotal: 0,
  bytesSaved: 0,
  chunksTotal: 0,
  chunksSaved: 0,
  chunksInMemory: 0,
  refusal: null,
  ...change,
});

describe("words about a local recording", () => {
  it.each([
    [0, 0, "0 of 0 B"],
    [0, 1, "0 of 1 B"],
    [0, 5_400_000, "0.0 of 5.4 MB"],
    [12_000_000, 30_000_000, "12 of 30 MB"],
    [30_000_000, 30_000_000, "30 of 30 MB"],
    [29_999_999, 30_000_000, "29 of 30 MB"],
    [900_000, 1_400_000_000, "0.0 of 1.4 GB"],
  ])("%i of %i bytes", (bytesSaved, bytesTotal, text) => {
    expect(savedOf(progress({ bytesSaved, bytesTotal }))).toBe(text);
  });

  it("never says that all is saved before it is", () => {
    expect(percentOf(progress({ bytesSaved: 999, bytesTotal: 1000 }))).toBe(99);
    expect(percentOf(progress({}))).toBe(0);
  });

  it("says what is waited for", () => {
    expect(waitOf(progress({}))).toBeNull();
    expect(waitOf(progress({ waiting: "network" }))).toContain("goes on by itself");
    expect(waitOf(progress({ waiting: "network", phase: "recording" }))).toContain("sent later");
    expect(waitOf(progress({ waiting: "token" }))).toContain("sign-in");
  });

  it("says why, also when the reason is new to it", () => {
    const refused = (code: string) => ({ status: 409, code, message: "the server’s words." });
    expect(refusalOf(progress({ refusal: refused("chunk_conflict") })).advice).toContain("place");
    expect(refusalOf(progress({ refusal: refused("new_one") })).advice).toContain("server’s words");
    expect(refusalOf(progress({ refusal: null, context: null })).title).not.toContain("“");
  });
});
