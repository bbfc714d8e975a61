import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { ChunkJournal } from "./journal";
import { aSession } from "./made";
import type { ChunkKey, LocalPart } from "./types";

const part: LocalPart = {
  session: "s1",
  part: 0,
  source: "camera",
  mimeType: "video/webm",
  startedAt: "2026-01-01T00:00:00.000Z",
  next: 0,
  bytes: 0,
};
const bytesOf = (text: string) => new Blob([text]);
const textOf = (bytes: Blob | null) => bytes?.text();
const key = (sequence: number, size = 1, number = 0): ChunkKey => ({
  part: number,
  sequence,
  size,
});

beforeEach(() => {
  vi.stubGlobal("indexedDB", new IDBFactory());
  vi.stubGlobal("IDBKeyRange", IDBKeyRange);
});

describe("the journal", () => {
  it("has after a reload what was in it before", async () => {
    const before = new ChunkJournal();
    await before.keep(aSession());
    for (const sequence of [0, 10, 9]) {
      const grown = { ...part, next: sequence + 1 };
      expect(await before.append(grown, key(sequence), bytesOf(`${sequence}`))).toBe("disk");
    }
    await before.close();

    const after = new ChunkJournal();
    expect(await after.sessions()).toEqual([aSession()]);
    expect(await after.parts("s1")).toEqual([{ ...part, next: 10 }]);
    expect((await after.chunks("s1")).map((one) => one.sequence)).toEqual([0, 9, 10]);
    expect(await textOf(await after.read("s1", key(10)))).toBe("10");
  });

  it("keeps sessions apart, also when one's id begins with another's", async () => {
    const journal = new ChunkJournal();
    for (const id of ["s1", "s11"]) {
      await journal.keep(aSession({ id }));
      await journal.append({ ...part, session: id, next: 1 }, key(0), bytesOf(id));
    }
    await journal.drop("s1");
    expect((await journal.sessions()).map(({ id }) => id)).toEqual(["s11"]);
    expect(await journal.chunks("s1")).toEqual([]);
    expect(await textOf(await journal.read("s11", key(0)))).toBe("s11");
  });

  it("frees what it is told to, and nothing else", async () => {
    const journal = new ChunkJournal();
    for (const sequence of [0, 1, 2]) await journal.append(part, key(sequence), bytesOf("x"));
    await journal.free("s1", [key(1)]);
    expect((await journal.chunks("s1")).map((one) => one.sequence)).toEqual([0, 2]);
    expect(await journal.read("s1", key(1))).toBeNull();
  });

  it("keeps in memory what the browser can't write, and the disk's again when it can", async () => {
    const journal = new ChunkJournal();
    await journal.append(part, key(0), bytesOf("a"));
    const put = vi.spyOn(Object.getPrototypeOf(await storeOf("chunks")) as IDBObjectStore, "put");
    put.mockImplementation(() => {
      throw new DOMException("full", "QuotaExceededError");
    });
    expect(await journal.append(part, key(1), bytesOf("b"))).toBe("memory");
    put.mockRestore();
    expect(await journal.append(part, key(2), bytesOf("c"))).toBe("disk");
    expect(journal.inMemory("s1")).toBe(1);
    expect((await journal.chunks("s1")).map((one) => one.sequence)).toEqual([0, 1, 2]);
    expect(await textOf(await journal.read("s1", key(1)))).toBe("b");
    await journal.free("s1", [key(1), key(2)]);
    expect(journal.inMemory("s1")).toBe(0);
    expect((await journal.chunks("s1")).map((one) => one.sequence)).toEqual([0]);
  });

  it("works in memory where there is no storage at all", async () => {
    vi.stubGlobal("indexedDB", {
      open: () => {
        throw new DOMException("no storage", "SecurityError");
      },
    });
    const journal = new ChunkJournal();
    expect(await journal.append(part, key(0), bytesOf("a"))).toBe("memory");
    expect(await textOf(await journal.read("s1", key(0)))).toBe("a");
  });
});

/** A store of the real database, for its prototype. */
function storeOf(name: string): Promise<IDBObjectStore> {
  return new Promise((resolve) => {
    const request = indexedDB.open("local-recorder");
    request.onsuccess = () => resolve(request.result.transaction(name).objectStore(name));
  });
}
