import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { ChunkJournal } from "./journal";
import { aStream, FakeLocks, FakeRecorder, FakeServer } from "./made";
import { LocalRecordings, SessionBusy } from "./recordings";

let server: FakeServer;
let locks: FakeLocks;
let recorders: FakeRecorder[];
let pageEvents: EventTarget;

beforeEach(() => {
  vi.stubGlobal("indexedDB", new IDBFactory());
  vi.stubGlobal("IDBKeyRange", IDBKeyRange);
  vi.stubGlobal("window", new EventTarget());
  vi.stubGlobal("document", new EventTarget());
  vi.stubGlobal("navigator", { onLine: true });
  vi.stubGlobal("MediaRecorder", { isTypeSupported: () => true });
  pageEvents = new EventTarget();
  vi.stubGlobal("addEventListener", pageEvents.addEventListener.bind(pageEvents));
  server = new FakeServer();
  locks = new FakeLocks();
  recorders = [];
});

const WHO = { recordingId: "RC_1", participantId: "ana", context: { room: "team" } };

/** A tab of the one browser: the storage and the locks are shared. */
function tab(fetch = server.fetch): LocalRecordings {
  return new LocalRecordings({
    token: () => "good",
    fetch,
    locks,
    backoff: { baseMs: 1, capMs: 2 },
    lookMs: 5,
    createRecorder: (stream, options) => {
      const made = new FakeRecorder(stream, options);
      recorders.push(made);
      return made as unknown as MediaRecorder;
    },
  });
}

const received = () =>
  [...server.chunks].map(([name, bytes]) => `${name} ${new TextDecoder().decode(bytes)}`).sort();
const done = (tab: LocalRecordings) =>
  vi.waitFor(() => expect(tab.snapshot().map(({ phase }) => phase)).toEqual(["done"]));

describe("recording", () => {
  it("brings every chunk to the server and completes", async () => {
    const recordings = tab();
    const recorder = await recordings.open(WHO);
    await recorder.start(aStream("audio", "video"));
    expect(recorder.state).toBe("recording");
    for (const text of ["a", "b", "", "c"]) recorders[0]?.give(text);
    expect(recordings.unsafe).toBe(true);
    await recorder.stop();
    await done(recordings);
    expect(received()).toEqual(["0/0 a", "0/1 b", "0/2 c", "0/3 last"]);
    expect(server.completed).toEqual([{ part: 0, lastSequence: 3 }]);
    expect(recordings.unsafe).toBe(false);
    expect(await new ChunkJournal().sessions()).toEqual([]);
  });

  it("makes another stream, and the time after a pause, the next part", async () => {
    const recordings = tab();
    const recorder = await recordings.open(WHO);
    await recorder.start(aStream("video"));
    await recorder.start(aStream("audio", "video"));
    await recorder.pause();
    expect(recorder.state).toBe("paused");
    await recorder.resume();
    await recorder.start(aStream("video"), { source: "screen" });
    await recorder.stop();
    await done(recordings);
    expect(received()).toEqual(["0/0 last", "1/0 last", "2/0 last", "3/0 last"]);
    expect(server.announced.get(3)).toMatchObject({ source: "screen" });
    expect(server.announced.get(2)).toMatchObject({ source: "camera" });
  });

  it("begins the next part after a sleep, which recorders leave out", async () => {
    const recordings = tab();
    const recorder = await recordings.open(WHO);
    await recorder.start(aStream("video"));
    recorders[0]?.give("before");
    const now = Date.now.bind(Date);
    const clock = vi.spyOn(Date, "now").mockImplementation(() => now() + 3_600_000);
    recorders[0]?.give("after");
    await vi.waitFor(() => expect(recorders).toHaveLength(2));
    recorders[1]?.give("on");
    await recorder.stop();
    clock.mockRestore();
    await done(recordings);
    expect(received()).toEqual(["0/0 before", "0/1 after", "0/2 last", "1/0 on", "1/1 last"]);
    expect(server.announced.get(1)).toMatchObject({ part: 1, source: "camera" });
  });

  it("begins the next part when a recorder goes on that the browser had paused", async () => {
    const recordings = tab();
    const recorder = await recordings.open(WHO);
    await recorder.start(aStream("video"));
    recorders[0]?.give("a");
    recorders[0]?.dispatchEvent(new Event("resume"));
    await vi.waitFor(() => expect(recorders).toHaveLength(2));
    expect(recorder.state).toBe("recording");
    await recorder.stop();
    await done(recordings);
    expect(server.completed).toHaveLength(2);
  });

  it("goes on with the next part when one that ran well ends by itself", async () => {
    const recordings = tab();
    const recorder = await recordings.open(WHO);
    await recorder.start(aStream("video"));
    const now = performance.now.bind(performance);
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + 11_000);
    recorders[0]?.stop(); // its encoder failed, say
    await vi.waitFor(() => expect(recorders).toHaveLength(2));
    clock.mockRestore();
    expect(recorder.state).toBe("recording");
    await recorder.stop();
    await done(recordings);
    expect(received()).toEqual(["0/0 last", "1/0 last"]);
  });

  it("says so, and does not try again, when a part ends as soon as it began", async () => {
    const recorder = await tab().open(WHO);
    const errors: unknown[] = [];
    recorder.subscribe(({ error }) => errors.push(error));
    await recorder.start(aStream("video"));
    recorders[0]?.dispatchEvent(Object.assign(new Event("error"), { error: new Error("no") }));
    recorders[0]?.stop();
    await vi.waitFor(() => expect(recorder.state).toBe("idle"));
    expect(errors.at(-1)).toEqual(new Error("no"));
    expect(recorders).toHaveLength(1);
  });

  it("cuts a chunk that is larger than the server takes", async () => {
    const recordings = tab();
    const recorder = await recordings.open(WHO);
    await recorder.start(aStream("video"));
    const large = "x".repeat(8 * 1024 * 1024) + "end";
    recorders[0]?.give(large);
    await recorder.stop();
    await done(recordings);
    const lengths = [...server.chunks].map(([name, bytes]) => `${name} ${bytes.length}`);
    expect(lengths.sort()).toEqual(["0/0 8388608", "0/1 3", "0/2 4"]);
  });

  it("asks for the running chunk when the page may be going", async () => {
    const recorder = await tab().open(WHO);
    await recorder.start(aStream("video"));
    window.dispatchEvent(new Event("beforeunload"));
    expect(recorders[0]?.flushed).toBe(1);
  });

  it("says when the browser can't record", async () => {
    const recordings = new LocalRecordings({
      token: () => "good",
      fetch: server.fetch,
      createRecorder: () => {
        throw new DOMException("no", "NotSupportedError");
      },
    });
    const recorder = await recordings.open(WHO);
    await expect(recorder.start(aStream("video"))).rejects.toThrow("no");
    await recorder.stop();
  });
});

describe("after a reload", () => {
  it("goes on with the next part and sends nothing twice", async () => {
    server.running = true;
    let gone = false;
    const before = tab((...call) => (gone ? new Promise(() => undefined) : server.fetch(...call)));
    const first = await before.open(WHO);
    await first.start(aStream("video"));
    recorders[0]?.give("one");
    await vi.waitFor(() => expect(server.chunks.size).toBe(1));
    server.trouble.set("PUT", ["down"]);
    recorders[0]?.give("two");
    await first.leave(); // what a reload does to it, but for the last chunk
    gone = true;
    locks = new FakeLocks(); // the tab's locks go with it

    const after = tab();
    await after.resumeAll();
    const second = await after.open(WHO);
    await second.start(aStream("video"));
    await second.stop();
    await done(after);
    expect(received()).toEqual(["0/0 one", "0/1 two", "0/2 last", "1/0 last"]);
    expect(server.puts(200)).toEqual([]);
  });

  it("has said that it is complete when the page goes after its recorder has left", async () => {
    server.running = true;
    const recordings = tab();
    const recorder = await recordings.open(WHO);
    await recorder.start(aStream("video"));
    recorders[0]?.give("a");
    const goes = Object.assign(new Event("pagehide"), { persisted: false });
    await vi.waitFor(() => expect(recordings.snapshot()[0]?.chunksSaved).toBe(1));
    pageEvents.dispatchEvent(goes); // a reload: the next page goes on with it
    await recorder.leave();
    await vi.waitFor(() => expect(recordings.snapshot()[0]?.waiting).toBe("recording"));
    expect(server.completed).toBeNull();
    pageEvents.dispatchEvent(goes);
    await vi.waitFor(() => expect(server.completed).toEqual([{ part: 0, lastSequence: 1 }]));
  });

  it("does on the next visit what the last left", async () => {
    server.trouble.set(
      "POST",
      Array.from({ length: 9999 }, () => "down" as const),
    );
    const first = await tab().open(WHO);
    await first.start(aStream("video"));
    await first.stop();
    server.trouble.clear();
    locks = new FakeLocks();
    server.seen.length = 0;
    const visit = tab();
    expect(await visit.resumeAll()).toMatchObject([{ recordingId: "RC_1", context: WHO.context }]);
    await done(visit);
    expect(server.completed).toEqual([{ part: 0, lastSequence: 0 }]);
    visit.dismiss(visit.snapshot()[0]?.id ?? "");
    expect(visit.snapshot()).toEqual([]);
  });
});

describe("two tabs", () => {
  it("don't record the same", async () => {
    await tab().open(WHO);
    await expect(tab().open(WHO)).rejects.toThrow(SessionBusy);
  });

  it("don't send the same, and a recorder takes over from a page that only sends", async () => {
    server.running = true;
    const first = await tab().open(WHO);
    await first.start(aStream("video"));
    await first.leave();
    locks = new FakeLocks();
    const sending = tab();
    await sending.resumeAll();
    expect((await tab().resumeAll()).length).toBe(0);
    const recording = tab();
    const second = await recording.open(WHO);
    expect(sending.snapshot()).toEqual([]);
    await second.stop();
    await done(recording);
  });
});

describe("what the server refuses", () => {
  it("can be saved as files and discarded", async () => {
    server.trouble.set("PUT", [{ status: 403, code: "not_allowed" }]);
    const recordings = tab();
    const recorder = await recordings.open(WHO);
    await recorder.start(aStream("video"), { mimeType: "video/webm;codecs=vp8" });
    recorders[0]?.give("abc");
    await recorder.stop();
    await vi.waitFor(() => expect(recordings.snapshot()[0]?.phase).toBe("refused"));
    const [file] = await recordings.files(recorder.sessionId);
    expect(file?.name).toMatch(/^camera-.*-part-0\.webm$/);
    expect(await file?.blob.text()).toBe("abclast");
    expect(file?.blob.type).toBe("video/webm");
    await recordings.discard(recorder.sessionId);
    expect(recordings.snapshot()).toEqual([]);
    expect(await new ChunkJournal().sessions()).toEqual([]);
  });
});
