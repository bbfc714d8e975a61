import { describe, expect, it } from "vitest";
import { EventParser, eventsOf } from "./eventStream";

const STREAM =
  ': ping\n\nevent: status\ndata: {"status": "recording"}\n\ndata: one\r\ndata: two\r\n\r\nid: 7\n\ndata: cut';
const EVENTS = [
  { event: "status", data: '{"status": "recording"}' },
  { event: "message", data: "one\ntwo" },
];

describe("event streams", () => {
  it("gives whole events only", () => {
    expect(new EventParser().push(STREAM)).toEqual(EVENTS);
  });

  it("reads the same however the bytes are split", () => {
    for (let at = 0; at <= STREAM.length; at += 1) {
      const parser = new EventParser();
      const found = [...parser.push(STREAM.slice(0, at)), ...parser.push(STREAM.slice(at))];
      expect(found, `split at ${at}`).toEqual(EVENTS);
    }
    const parser = new EventParser();
    expect([...STREAM].flatMap((char) => parser.push(char))).toEqual(EVENTS);
  });

  it("decodes characters that are split between two chunks", async () => {
    const bytes = new TextEncoder().encode("data: Grüße\n\n");
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    const found = [];
    for await (const event of eventsOf(stream)) found.push(event.data);
    expect(found).toEqual(["Grüße"]);
  });
});
