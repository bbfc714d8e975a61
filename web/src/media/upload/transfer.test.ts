import { describe, expect, it } from "vitest";
import { aFile, answer, FakeWorld, PART, refusal } from "./fakes";
import type { MultipartSession, Session } from "./ports";
import { transfer } from "./transfer";

function run(world: FakeWorld, file = aFile(), before: Session | null = null) {
  const stop = new AbortController();
  const sessions: (Session | null)[] = [];
  const stages: string[] = [];
  const progress: number[] = [];
  const hooks = {
    onSession: (session: Session | null) => void sessions.push(structuredClone(session)),
    onStage: (stage: string) => void stages.push(stage),
    onProgress: (sent: number) => void progress.push(sent),
  };
  const result = transfer(file, before, world.ports, hooks, stop.signal);
  return { result, stop, sessions, stages, progress };
}

const form = () => aFile("small.mp4", 12);

function half(): MultipartSession {
  return {
    kind: "multipart",
    sessionKey: "s0",
    storageKey: "k",
    partSize: PART,
    etags: { 1: '"a"', 3: '"c"' },
    sent: false,
  };
}

describe("a small file", () => {
  it("goes as a form: its fields first, then the file", async () => {
    const world = new FakeWorld();
    const { result, stages, progress } = run(world, form());
    expect(await result).toEqual({ id: "m1" });
    expect(world.sent).toEqual([{ url: "/form", size: 12 }]);
    expect(stages).toEqual(["starting", "sending", "finishing"]);
    expect(progress.at(-1)).toBe(12);
    expect(world.signed).toEqual([]);
  });

  it("is sent again while the store is busy", async () => {
    const world = new FakeWorld();
    world.steps = [answer(503), answer(0, { etag: null })];
    await run(world, form()).result;
    expect(world.sent).toHaveLength(3);
    expect(world.rests).toHaveLength(2);
  });

  it("is not sent again when the store refuses it", async () => {
    const world = new FakeWorld();
    world.steps = [answer(403, { text: "<Error><Code>AccessDenied</Code></Error>" })];
    await expect(run(world, form()).result).rejects.toMatchObject({
      code: "store_refused",
      message: "The storage answered 403 (AccessDenied).",
    });
    expect(world.sent).toHaveLength(1);
  });

  it("begins anew when its form has expired during a pause", async () => {
    const world = new FakeWorld();
    world.steps = [answer(403)];
    const old: Session = {
      kind: "form",
      sessionKey: "old",
      storageKey: "k",
      uploadUrl: "/old",
      fields: {},
      sent: false,
    };
    await run(world, form(), old).result;
    expect(world.aborted).toEqual(["old"]);
    expect(world.sent.map(({ url }) => url)).toEqual(["/old", "/form"]);
  });

  it("says why this server refused it", async () => {
    const world = new FakeWorld();
    const text = '{"success":false,"error":{"code":"disk_low","message":"Full."}}';
    world.steps = Array.from({ length: 8 }, () => answer(507, { text }));
    await expect(run(world, form()).result).rejects.toMatchObject({ code: "disk_low" });
  });
});

describe("a large file", () => {
  it("goes in parts, three together, each with an address of its own", async () => {
    const world = new FakeWorld();
    const { result, sessions } = run(world, aFile("f.mp4", 95));
    await result;
    expect([...world.signed].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(world.sent.reduce((sum, { size }) => sum + size, 0)).toBe(95);
    expect(world.mostAtOnce).toBe(3);
    expect(Object.keys((world.completed[0] as MultipartSession).etags)).toHaveLength(10);
    expect(sessions.at(-1)).toMatchObject({ sent: true });
  });

  it.each([403, 400])("has a part signed again after %d, once", async (status) => {
    const world = new FakeWorld();
    world.steps = [answer(status)];
    await run(world).result;
    expect(world.signed.filter((number) => number === 1)).toHaveLength(2);
    expect(world.rests).toEqual([]);
    const stubborn = new FakeWorld();
    stubborn.steps = Array.from({ length: 20 }, () => answer(status));
    await expect(run(stubborn).result).rejects.toMatchObject({ code: "store_refused" });
    expect(stubborn.sent.length).toBeLessThanOrEqual(6);
  });

  it("waits as long as the store asks, and tries no more than eight times", async () => {
    const world = new FakeWorld();
    world.steps = [answer(429, { retryAfter: 7 })];
    await run(world).result;
    expect(world.rests).toEqual([7000]);
    const away = new FakeWorld();
    away.steps = Array.from({ length: 99 }, () => answer(0));
    await expect(run(away).result).rejects.toMatchObject({ code: "unreachable" });
    expect(away.sent.length).toBeLessThanOrEqual(3 * 8);
  });

  it("asks for an address again when the server was away for a moment", async () => {
    const world = new FakeWorld();
    world.refusals.signPart = [refusal("unreachable", 0), refusal("internal", 500)];
    await run(world).result;
    expect(world.sent).toHaveLength(4);
  });

  it("keeps the parts that are there when it is stopped, and sends only the rest later", async () => {
    const world = new FakeWorld();
    world.steps = [answer(200), "hang", "hang", "hang"];
    const { result, stop, sessions } = run(world);
    await expect.poll(() => world.sent.length).toBe(4);
    stop.abort();
    await expect(result).rejects.toThrow();
    const kept = sessions.at(-1) as MultipartSession;
    expect(kept.etags).toEqual({ 1: '"e200"' });
    world.sent = [];
    const { result: rest, progress } = run(world, aFile(), kept);
    await rest;
    expect(world.initiated).toBe(1);
    expect(world.sent).toHaveLength(3);
    expect(Math.min(...progress)).toBeGreaterThanOrEqual(PART);
  });

  it("names the parts when completing, or leaves that to a store which hides its ETags", async () => {
    const world = new FakeWorld();
    world.steps = [answer(200, { etag: null })];
    await run(world).result;
    expect((world.completed[0] as MultipartSession).etags[1]).toBe("");
  });

  it("sends the parts again that the server finds missing or too short", async () => {
    const world = new FakeWorld();
    world.refusals.complete = [refusal("upload_incomplete", 409, { missing: [3], wrongSize: [1] })];
    const session = { ...half(), etags: { 1: "a", 2: "b", 3: "c", 4: "d" }, sent: true };
    await run(world, aFile(), session).result;
    expect([...world.signed].sort()).toEqual([1, 3]);
  });

  it("begins anew when the server has given up the session", async () => {
    const world = new FakeWorld();
    world.refusals.signPart = [refusal("upload_over", 409)];
    const { result, sessions } = run(world, aFile(), half());
    await result;
    expect(sessions).toContain(null);
    expect(world.initiated).toBe(1);
    expect(world.completed).toHaveLength(1);
  });

  it("tells the server from time to time how far it is", async () => {
    const world = new FakeWorld();
    world.steps = [answer(503), answer(503), answer(503), answer(429, { retryAfter: 6 })];
    await run(world).result;
    expect(world.reported.length).toBeGreaterThan(0);
  });
});

describe("the end", () => {
  it("is asked for again while the server is away; what is there is not sent again", async () => {
    const world = new FakeWorld();
    world.refusals.complete = [refusal("unreachable", 0), refusal("upload_busy", 409)];
    await run(world, form()).result;
    expect(world.sent).toHaveLength(1);
    expect(world.rests).toHaveLength(2);
  });

  it("is a refusal with its reason when the file can't be kept", async () => {
    const world = new FakeWorld();
    world.refusals.complete = [refusal("unsupported_format", 415)];
    await expect(run(world, form()).result).rejects.toMatchObject({ code: "unsupported_format" });
    expect(world.rests).toEqual([]);
  });
});
