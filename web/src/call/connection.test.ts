import { ConnectionError, DisconnectReason } from "livekit-client";
import { describe, expect, it } from "vitest";
import { afterDisconnect, afterRefusal, retryDelay, signalUrl } from "./connection";

describe("a call that was lost", () => {
  it.each([
    DisconnectReason.DUPLICATE_IDENTITY,
    DisconnectReason.PARTICIPANT_REMOVED,
    DisconnectReason.ROOM_DELETED,
    DisconnectReason.ROOM_CLOSED,
    DisconnectReason.JOIN_FAILURE,
  ])("is over for reason %d", (reason) => {
    expect(afterDisconnect(reason).kind).toBe("over");
  });
  it.each([
    undefined,
    DisconnectReason.UNKNOWN_REASON,
    DisconnectReason.SERVER_SHUTDOWN,
    DisconnectReason.SIGNAL_CLOSE,
    DisconnectReason.STATE_MISMATCH,
  ])("is tried again for reason %s", (reason) => {
    expect(afterDisconnect(reason).kind).toBe("retry");
  });
});

describe("a call that could not be joined", () => {
  it("is over when the token is refused, also after a drop", () => {
    const refusal = afterRefusal(ConnectionError.notAllowed("no", 401), true);
    expect(refusal).toMatchObject({ why: { title: expect.stringContaining("let you in") } });
  });
  it("says so when the first try finds no server", () => {
    const refusal = afterRefusal(ConnectionError.timeout("x"), false);
    expect(refusal).toMatchObject({ why: { title: expect.stringContaining("reached") } });
  });
  it("goes on trying once it stood", () => {
    expect(afterRefusal(ConnectionError.timeout("x"), true).kind).toBe("retry");
    expect(afterRefusal(undefined, true).kind).toBe("retry");
  });
  it("takes the server's word for why", () => {
    const leave = (reason: DisconnectReason) => ConnectionError.leaveRequest("x", reason);
    expect(afterRefusal(leave(DisconnectReason.ROOM_DELETED), true).kind).toBe("over");
    expect(afterRefusal(leave(DisconnectReason.SERVER_SHUTDOWN), true).kind).toBe("retry");
  });
  it("names the media port when only media fails", () => {
    const refusal = afterRefusal(new Error("could not establish pc connection"), false);
    expect(refusal).toMatchObject({ why: { advice: expect.stringContaining("7882") } });
  });
});

it("waits longer each time, up to 15 s", () => {
  expect([0, 1, 2, 3, 4, 5, 50].map(retryDelay)).toEqual([1, 2, 4, 8, 15, 15, 15]);
});

it("signals where the answer says, unless the page is https and that is not", () => {
  expect(signalUrl(null, "http://a")).toBe("http://a");
  expect(signalUrl("ws://b:1", "http://a")).toBe("ws://b:1");
  expect(signalUrl("ws://b:1", "https://a")).toBe("https://a");
  expect(signalUrl("wss://b", "https://a")).toBe("wss://b");
});
