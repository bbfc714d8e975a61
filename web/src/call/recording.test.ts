import { describe, expect, it } from "vitest";
import { initialRecordState, type RecordEvent, type RecordState, recordReducer } from "./recording";

const run = (events: RecordEvent[], from: RecordState = initialRecordState(false)) =>
  events.reduce(recordReducer, from);

const on: RecordEvent = { type: "flag", on: true };
const off: RecordEvent = { type: "flag", on: false };
const failed: RecordEvent = { type: "failed", error: { title: "No", advice: "Try." } };

describe("record button", () => {
  it("shows a recording that ran before the page was loaded", () => {
    expect(initialRecordState(true).phase).toBe("recording");
  });
  it("is only recording once the flag says so", () => {
    const pending = run([{ type: "start" }, { type: "accepted", recordingId: "RC_1" }]);
    expect(pending).toMatchObject({ phase: "starting", recordingId: "RC_1" });
    expect(run([on], pending).phase).toBe("recording");
  });
  it("takes the flag before the answer", () => {
    const state = run([{ type: "start" }, on, { type: "accepted", recordingId: "RC_1" }]);
    expect(state.phase).toBe("recording");
  });
  it("is stopping until the flag falls", () => {
    const state = run([{ type: "start" }, on, { type: "stop" }, { type: "stopped" }]);
    expect(state.phase).toBe("stopping");
    expect(run([off], state)).toEqual(initialRecordState(false));
  });
  it("rests at once when the flag fell before the answer", () => {
    expect(run([on, { type: "stop" }, off]).phase).toBe("idle");
    expect(run([{ type: "start" }, { type: "stop" }, { type: "stopped" }]).phase).toBe("idle");
  });
  it("does not wait for ever for a flag", () => {
    expect(run([on, { type: "stop" }, { type: "settle" }]).phase).toBe("recording");
    expect(run([{ type: "start" }, { type: "settle" }]).phase).toBe("idle");
  });
  it("goes back to what the flag says after a refusal, and says why", () => {
    expect(run([{ type: "start" }, failed])).toMatchObject({
      phase: "idle",
      error: { title: "No" },
    });
    expect(run([on, { type: "stop" }, failed])).toMatchObject({ phase: "recording" });
    expect(run([{ type: "start" }, failed, { type: "dismiss" }]).error).toBeNull();
    expect(run([{ type: "start" }, failed, { type: "start" }]).error).toBeNull();
  });
  it("ignores presses that make no sense", () => {
    expect(run([{ type: "stop" }]).phase).toBe("idle");
    expect(run([on, { type: "start" }]).phase).toBe("recording");
    expect(run([{ type: "accepted", recordingId: "RC_1" }]).recordingId).toBeNull();
  });
  it("stays starting while the flag is still down, and stopping while it is still up", () => {
    expect(run([{ type: "start" }, off]).phase).toBe("starting");
    expect(run([on, { type: "stop" }, on]).phase).toBe("stopping");
  });
});
