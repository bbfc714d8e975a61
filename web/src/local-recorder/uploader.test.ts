import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { ChunkJournal } from "./journal";
import { aSession, FakeServer } from "./made";
import type { ChunkKey, LocalPart, LocalSession } from "./types";
import { ChunkUploader, type UploaderOptions } from "./uploader";

let journal: ChunkJournal;
let server: FakeServer;

beforeEach(() => {
  vi.stubGlobal("indexedDB", new IDBFactory());
  vi.stubGlobal("IDBKeyRange", IDBKeyRange);
  journal = new ChunkJournal();
  server = new FakeServer();
});

const FAST = { baseMs: 1, capMs: 2 };

async function uploaderOf(session: LocalSession, options: Partial<UploaderOptions> = {}) {
  const uploader = new ChunkUploader(session, journal, {
    token: () => "good",
    fetch: server.fetch,
    backoff: FAST,
    lookMs: 5,
    ...options,
  });
  await uploader.load();
  return uploader;
}

/** A session with `count` chunks in each of `parts` parts, of a recorder that is gone. */
async function recorded(count: number, parts = 1, change: Partial<LocalSession> = {}) {
  const session = aSession({ ended: true, ...change });
  await journal.keep(session);
  for (let part = 0; part < parts; part += 1) {
    for (let sequence = 0; sequence < count; sequence += 1) await append(session, part, sequence);
  }
  return session;
}

async function append(session: LocalSession, part: number, sequence: number) {
  const bytes = new Blob([`chunk ${part}/${sequence}`]);
  const grown: LocalPart = {
    session: session.id,
    part,
    source: "camera",
    mimeType: "video/webm",
    startedAt: "2026-01-01T00:00:00.000Z",
    next: sequence + 1,
    bytes: (sequence + 1) * bytes.size,
  };
  const key: ChunkKey = { part, sequence, size: bytes.size };
  await journal.append(grown, key, bytes);
  return { grown, key };
}

const isEmpty = async () =>
  (await journal.sessions()).length === 0 && (await journal.chunks("s1")).length === 0;

describe("sending a session", () => {
  it("sends every chunk once, completes, and leaves nothing behind", async () => {
    const uploader = await uploaderOf(await recorded(30, 2));
    await uploader.run();
    expect(server.chunks.size).toBe(60);
    expect(new Set(server.puts()).size).toBe(server.puts().length);
    expect(server.completed).toEqual([
      { part: 0, lastSequence: 29 },
      { part: 1, lastSequence: 29 },
    ]);
    expect(uploader.progress()).toMatchObject({ phase: "done", chunksTotal: 60, chunksSaved: 60 });
    expect(await isEmpty()).toBe(true);
  });

  it("announces a part before its first chunk, with what the server needs to place it", async () => {
    const uploader = await uploaderOf(await recorded(1));
    await uploader.run();
    expect(server.announced.get(0)).toMatchObject({
      part: 0,
      mimeType: "video/webm",
      source: "camera",
      startedAt: "2026-01-01T00:00:00.000Z",
    });
    expect(server.announced.get(0)?.sentAt).toMatch(/^\d{4}-.*Z$/);
    const order = server.seen.map(({ method }) => method);
    expect(order.indexOf("PUT")).toBeGreaterThan(order.indexOf("POST"));
  });

  it("sends again after a lost answer or no network, and nothing that was acknowledged", async () => {
    server.trouble.set("PUT", ["lost", "down", "down", "lost"]);
    server.trouble.set("POST", ["down"]);
    const uploader = await uploaderOf(await recorded(20));
    await uploader.run();
    expect(server.chunks.size).toBe(20);
    expect(await isEmpty()).toBe(true);
    const answered = server.puts(201).concat(server.puts(200));
    expect(answered.length).toBeLessThanOrEqual(22); // two answers were lost
  });

  it("sends after a crash only what the server is missing", async () => {
    const session = await recorded(10);
    const first = await uploaderOf(session, { parallel: 1 });
    const down = Array.from({ length: 1000 }, () => "down" as const);
    server.trouble.set("GET", ["none", ...down]); // after the first look no confirming
    const run = first.run();
    await vi.waitFor(() => expect(server.puts().length).toBeGreaterThanOrEqual(10));
    await first.close();
    await run;
    expect((await journal.chunks("s1")).length).toBe(10); // acknowledged is not confirmed

    server.trouble.clear();
    server.seen.length = 0;
    server.chunks.delete("0/4");
    const second = await uploaderOf(session);
    await second.run();
    expect(server.puts()).toEqual(["0/4"]);
    expect(await isEmpty()).toBe(true);
  });

  it("never frees a chunk that the server's state does not name", async () => {
    server.hides = (name) => name === "0/2";
    const uploader = await uploaderOf(await recorded(4));
    const run = uploader.run();
    const again = () => server.puts().filter((name) => name === "0/2").length;
    await vi.waitFor(() => expect(again()).toBeGreaterThan(2));
    expect((await journal.chunks("s1")).map((one) => one.sequence)).toContain(2);
    expect(server.completed).toBeNull();
    server.hides = () => false;
    await run;
    expect(await isEmpty()).toBe(true);
  });

  it("waits as long as the server asks", async () => {
    const waits: (number | undefined)[] = [];
    const timer = globalThis.setTimeout;
    vi.spyOn(globalThis, "setTimeout").mockImplementation((work: () => void, ms?: number) => {
      waits.push(ms);
      return timer(work, 0);
    });
    server.trouble.set("PUT", [{ status: 429, code: "too_many_requests", retryAfter: "77" }]);
    const uploader = await uploaderOf(await recorded(1), { random: () => 1 });
    const seen: (string | null)[] = [];
    uploader.subscribe(() => seen.push(uploader.progress().waiting));
    await uploader.run();
    vi.restoreAllMocks();
    expect(waits).toContain(77_001);
    expect(seen).toContain("server");
  });

  it("goes on at once when the network is back", async () => {
    let online = false;
    server.trouble.set("POST", ["down"]);
    const session = await recorded(2);
    const uploader = await uploaderOf(session, {
      online: () => online,
      backoff: { baseMs: 1, capMs: 3_600_000 },
    });
    const run = uploader.run();
    await vi.waitFor(() => expect(uploader.progress().waiting).toBe("network"));
    online = true;
    uploader.retryNow();
    await run;
    expect(uploader.progress().phase).toBe("done");
  });

  it("asks for another token when one was refused", async () => {
    server.trouble.set("PUT", [{ status: 401, code: "token_expired" }]);
    const asked: (string | null)[] = [];
    const uploader = await uploaderOf(await recorded(1), {
      token: (_session, refused) => {
        asked.push(refused);
        return refused === null ? "old" : "new";
      },
    });
    await uploader.run();
    expect(asked).toEqual([null, "old"]);
    expect(server.seen.at(-1)?.token).toBe("new");
  });
});

describe("what can't be sent", () => {
  it.each([
    [403, "not_allowed"],
    [409, "chunk_conflict"],
    [413, "chunk_too_large"],
  ])("keeps everything after %i %s and says why", async (status, code) => {
    server.trouble.set("PUT", [{ status, code }]);
    const uploader = await uploaderOf(await recorded(2), { parallel: 1 });
    await uploader.run();
    expect(uploader.progress()).toMatchObject({ phase: "refused", refusal: { status, code } });
    expect((await journal.chunks("s1")).length).toBe(2);
    expect((await journal.session("s1"))?.refused?.code).toBe(code);
    await uploader.reconsider();
    await uploader.run();
    expect(await isEmpty()).toBe(true);
  });

  it("gives a damaged chunk up after five more tries", async () => {
    const damaged = { status: 422, code: "digest_mismatch" };
    server.trouble.set(
      "PUT",
      Array.from({ length: 6 }, () => damaged),
    );
    const uploader = await uploaderOf(await recorded(1));
    await uploader.run();
    expect(server.puts(422).length).toBe(6);
    expect(uploader.progress().refusal?.code).toBe("digest_mismatch");
  });

  it("is done when the set is closed and the server has everything", async () => {
    const session = await recorded(3);
    for (const sequence of [0, 1, 2]) server.chunks.set(`0/${sequence}`, new Uint8Array());
    server.completed = [];
    const uploader = await uploaderOf(session);
    await uploader.run();
    expect(uploader.progress().phase).toBe("done");
    expect(server.puts()).toEqual([]);
  });

  it("is refused when the set is closed without something that is here", async () => {
    const session = await recorded(3);
    server.completed = [];
    const uploader = await uploaderOf(session);
    await uploader.run();
    expect(uploader.progress().refusal?.code).toBe("already_completed");
    expect((await journal.chunks("s1")).length).toBe(3);
  });

  it("says so when the browser has lost a chunk that the server misses", async () => {
    const session = await recorded(3);
    const uploader = await uploaderOf(session);
    await journal.free("s1", [(await journal.chunks("s1"))[1] as ChunkKey]);
    await uploader.run();
    expect(uploader.progress().refusal?.code).toBe("chunks_missing");
    expect(server.chunks.size).toBe(2);
  });
});

describe("a recording that goes on", () => {
  it("sends chunks as they come and completes only at the end", async () => {
    const session = await recorded(0, 0, { ended: false });
    const uploader = await uploaderOf(session);
    uploader.setRecording(true);
    const run = uploader.run();
    for (let sequence = 0; sequence < 5; sequence += 1) {
      const { grown, key } = await append(session, 0, sequence);
      uploader.added(grown, key);
      await vi.waitFor(() => expect(server.chunks.size).toBe(sequence + 1));
    }
    expect(server.completed).toBeNull();
    expect(uploader.progress().phase).toBe("recording");
    await uploader.end();
    await run;
    expect(server.completed).toEqual([{ part: 0, lastSequence: 4 }]);
  });

  it("is not completed by a page that finds it while the recording still runs", async () => {
    server.running = true;
    const uploader = await uploaderOf(await recorded(2, 1, { ended: false }));
    const run = uploader.run();
    await vi.waitFor(() => expect(uploader.progress().waiting).toBe("recording"));
    expect(server.chunks.size).toBe(2);
    expect(server.completed).toBeNull();
    server.running = false;
    await run;
    expect(server.completed).not.toBeNull();
  });

  it("leaves nothing of a session without a chunk", async () => {
    const uploader = await uploaderOf(await recorded(0, 0));
    await uploader.run();
    expect(await isEmpty()).toBe(true);
    expect(server.completed).toBeNull();
  });
});
