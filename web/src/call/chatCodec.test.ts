import { describe, expect, it } from "vitest";
import { decodeChat } from "./chatCodec";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("decodeChat", () => {
  it("reads a message", () => {
    const message = { id: "a", timestamp: 5, message: "Grüße" };
    expect(decodeChat(bytes(JSON.stringify(message)))).toEqual(message);
  });
  it.each([
    "",
    "null",
    "7",
    "[]",
    "{",
    '{"id":1,"timestamp":"x","message":{}}',
    '{"timestamp":1e99}',
  ])("makes %j an empty message", (text) => {
    expect(decodeChat(bytes(text))).toEqual({ id: "", timestamp: 0, message: "" });
  });
});
