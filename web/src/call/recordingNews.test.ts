import { describe, expect, it } from "vitest";
import { mayBeNews, noticeOf, readRecordingMessage, STOPPED } from "./recordingNews";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("messages of the server about a recording", () => {
  it.each(["", "[]", "null", '"x"', '{"status": "failed"}', '{"recordingId": 7}', "{", "\u0000"])(
    "takes %j for none",
    (text) => expect(readRecordingMessage(bytes(text))).toBeNull(),
  );

  it("reads one", () => {
    const text = '{"status": "failed", "recordingId": "RC_1", "error": "no media"}';
    const message = readRecordingMessage(bytes(text));
    expect(message).toEqual({ recordingId: "RC_1", status: "failed" });
    expect(mayBeNews({ recordingId: "RC_1", status: "processing" })).toBe(true);
    expect(mayBeNews({ recordingId: "RC_1", status: "recording" })).toBe(false);
  });

  it("tells of failures, with their reason", () => {
    expect(noticeOf({ status: "failed", error: "the disk is full" })).toEqual({
      tone: "error",
      what: { title: "The recording has failed", advice: "the disk is full" },
    });
    expect(noticeOf({ status: "failed" })?.what.advice).toContain("log");
  });

  it("says why a recording ended that nobody stopped", () => {
    const notice = noticeOf({ status: "processing", endReason: "max_duration" });
    expect(notice?.what.title).toBe(STOPPED.title);
    expect(notice?.what.advice).toContain("longest time");
  });

  it.each([
    { status: "recording" },
    { status: "processing", endReason: "host" },
    { status: "uploading", endReason: "constructor" },
    { status: "recorded" },
  ])("leaves %j to the room's flag", (message) => expect(noticeOf(message)).toBeNull());
});
