import { describe, expect, it } from "vitest";
import { Ledger } from "./ledger";
import type { ChunkKey, ChunkState, LocalPart } from "./types";

const key = (sequence: number, part = 0): ChunkKey => ({ part, sequence, size: 10 });
const part = (next: number, number = 0): LocalPart => ({
  session: "s1",
  part: number,
  source: "camera",
  mimeType: "video/webm",
  startedAt: "",
  next,
  bytes: next * 10,
});
const has = (...received: [number, number][]): ChunkState => ({
  participantId: "ana",
  parts: [{ part: 0, received, missing: [], next: 0 }],
});
const all = () => true;

function ledger(count: number): Ledger {
  const made = new Ledger();
  made.load(
    [part(count)],
    Array.from({ length: count }, (_, sequence) => key(sequence)),
  );
  return made;
}

describe("the ledger of a session", () => {
  it("hands out each chunk once, in order, and again after it failed", () => {
    const made = ledger(3);
    expect([made.take(all), made.take(all), made.take(all), made.take(all)]).toEqual([
      key(0),
      key(1),
      key(2),
      null,
    ]);
    made.failed(key(1));
    expect(made.take(all)).toEqual(key(1));
  });

  it("hands out only chunks of parts that may be sent", () => {
    const made = ledger(1);
    made.add(part(1, 4), key(0, 4));
    expect(made.take((number) => number === 4)).toEqual(key(0, 4));
    expect(made.take((number) => number === 4)).toBeNull();
  });

  it("frees what the server's state names, and nothing because of an acknowledgement", () => {
    const made = ledger(4);
    for (const sequence of [1, 2]) {
      made.take(all);
      made.acknowledge(key(sequence));
    }
    expect(made.settle(has([1, 1]))).toEqual([key(1)]);
    expect(made.bounced).toBe(1);
    expect(made.waiting).toBe(3); // the one that was acknowledged and is not there, too
  });

  it("frees chunks that the server has although no answer came", () => {
    const made = ledger(3);
    expect(made.settle(has([1, 2]))).toEqual([key(1), key(2)]);
  });

  it("leaves a chunk alone that is on its way", () => {
    const made = ledger(2);
    made.take(all);
    made.take(all);
    expect(made.settle(has([0, 1]))).toEqual([]);
    made.acknowledge(key(1));
    expect(made.settle(has([0, 1]))).toEqual([key(1)]);
  });

  it("keeps the first chunk of a part, which has the header, until the set is complete", () => {
    const made = ledger(1);
    expect(made.settle(has([0, 0]))).toEqual([]);
    expect(made.settled).toBe(true);
    expect(made.sendAgain(has([0, 0]))).toBe(false);
    expect(made.sendAgain(has())).toBe(true);
    expect(made.take(all)).toEqual(key(0));
  });

  it("counts bytes and chunks, and names the parts that have media", () => {
    const made = ledger(3);
    made.add(part(0, 1), key(9, 1));
    made.lose(key(9, 1));
    made.take(all);
    made.acknowledge(key(0));
    expect(made.counts()).toEqual({ bytes: 30, bytesSaved: 10, chunks: 3, chunksSaved: 1 });
    expect(made.ends(null)).toEqual([{ part: 0, lastSequence: 2 }]);
    expect(made.ends(has([0, 3]))).toEqual([{ part: 0, lastSequence: 3 }]);
  });
});
