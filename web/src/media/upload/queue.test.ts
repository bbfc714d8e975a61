import { describe, expect, it } from "vitest";
import { ApiError } from "../../api";
import { aFile, answer, FakeBox, FakeWorld, refusal } from "./fakes";
import { UploadMemory } from "./memory";
import { type Stage, UploadQueue } from "./queue";

function aQueue(world = new FakeWorld(), box = new FakeBox(), user = "ana") {
  const memory = new UploadMemory(
    box,
    () => user,
    () => 1000,
  );
  const queue = new UploadQueue(world.ports, memory);
  const stages = () => queue.views().map(({ stage }) => stage);
  const until = (wanted: Stage[]) => expect.poll(stages).toEqual(wanted);
  const id = (index: number) => queue.views()[index]?.id ?? "";
  return { world, box, memory, queue, stages, until, id };
}

const small = (name: string) => aFile(name, 12);

describe("the queue", () => {
  it("uploads what it is given, as many at once as it may", async () => {
    const { world, queue, until } = aQueue();
    queue.allow(3);
    queue.add(["a", "b", "c", "d", "e"].map(small));
    expect(queue.busy()).toBe(true);
    await until(["done", "done", "done", "done", "done"]);
    expect(world.mostAtOnce).toBe(3);
    expect(queue.busy()).toBe(false);
    queue.clear();
    expect(queue.views()).toEqual([]);
  });

  it("lets files wait while the server takes no more, and begins again when one is done", async () => {
    const world = new FakeWorld();
    world.refusals.initiate = [refusal("too_many_uploads", 429)];
    const { queue, until } = aQueue(world);
    queue.add([small("a"), small("b")]);
    await until(["done", "done"]);
    expect(world.initiated).toBe(2);
  });

  it("pauses one, lets the next go, and resumes it without sending its parts again", async () => {
    const world = new FakeWorld();
    world.steps = [answer(200), "hang", "hang", "hang"];
    const { queue, until, id } = aQueue(world);
    queue.add([aFile()]);
    await expect.poll(() => world.sent.length).toBe(4);
    queue.pause(id(0));
    await until(["paused"]);
    expect(queue.views()[0]).toMatchObject({ keepsParts: true, bytesPerSecond: null });
    queue.add([small("b")]);
    await until(["paused", "done"]);
    queue.resume(id(0));
    await until(["done", "done"]);
    expect(
      world.sent.map(({ url }) => url).filter((url) => url.startsWith("/part/1/")),
    ).toHaveLength(1);
  });

  it("cancels: the server ends the session, nothing is remembered", async () => {
    const world = new FakeWorld();
    world.steps = ["hang"];
    const { queue, memory, id } = aQueue(world);
    queue.add([small("a")]);
    await expect.poll(() => world.sent.length).toBe(1);
    expect(memory.all()).toHaveLength(1);
    queue.cancel(id(0));
    expect(queue.views()).toEqual([]);
    expect(memory.all()).toEqual([]);
    queue.add([small("b")]); // when that is done, what was cancelled has come to its end, too
    await expect.poll(() => world.completed.length).toBe(1);
    expect(world.aborted).toEqual(["s1"]);
  });

  it("ends a session that begins just as its upload is cancelled", async () => {
    const world = new FakeWorld();
    const { queue, memory, id } = aQueue(world);
    queue.add([small("a")]);
    queue.cancel(id(0)); // before initiate has answered
    await expect.poll(() => world.aborted).toContain("s1");
    expect(memory.all()).toEqual([]);
  });

  it("tells why one failed, and starts it over when the session is over", async () => {
    const world = new FakeWorld();
    world.refusals.complete = [refusal("truncated", 422)];
    const { queue, until, id } = aQueue(world);
    queue.add([small("a")]);
    await until(["failed"]);
    expect((queue.views()[0]?.error as ApiError).code).toBe("truncated");
    queue.resume(id(0));
    await until(["done"]);
    expect(world.initiated).toBe(2);
  });

  it("goes on after a failure that left the session alive", async () => {
    const world = new FakeWorld();
    world.steps = Array.from({ length: 8 }, () => answer(0));
    const { queue, until, id } = aQueue(world);
    queue.add([small("a")]);
    await until(["failed"]);
    queue.resume(id(0));
    await until(["done"]);
    expect(world.initiated).toBe(1);
  });
});

describe("after a reload", () => {
  async function interrupted() {
    const world = new FakeWorld();
    world.steps = [answer(200), answer(200), "hang", "hang"];
    const first = aQueue(world);
    first.queue.add([aFile()]);
    await expect.poll(() => world.sent.length).toBe(4);
    const kept = aQueue(world, first.box);
    world.claimed.clear(); // as the end of its tab does
    world.sent = [];
    return kept;
  }

  it("an upload is there again and goes on with the same file, the rest only", async () => {
    const { world, queue, until } = await interrupted();
    await queue.recall();
    await queue.recall();
    await until(["lost"]);
    expect(queue.views()[0]).toMatchObject({ name: "film.mp4", sent: 20, keepsParts: true });
    expect(queue.busy()).toBe(false);
    queue.add([aFile()]);
    await until(["done"]);
    expect(world.sent).toHaveLength(2);
    expect(world.initiated).toBe(1);
  });

  it("another file of that name is another upload", async () => {
    const { queue, until, id } = await interrupted();
    await queue.recall();
    expect(queue.continueWith(id(0), aFile("film.mp4", 35, 2))).toBe(false);
    queue.add([aFile("film.mp4", 36)]);
    await until(["lost", "done"]);
    expect(queue.continueWith(id(0), aFile())).toBe(true);
    await until(["done", "done"]);
  });

  it("can be given up", async () => {
    const { world, queue, memory, id } = await interrupted();
    await queue.recall();
    queue.cancel(id(0));
    expect(world.aborted).toContain("s1");
    expect(memory.all()).toEqual([]);
  });

  it("is not offered while another tab is busy with it", async () => {
    const { world, queue, box, until } = await interrupted();
    await queue.recall();
    queue.add([aFile()]);
    const other = aQueue(world, box);
    await other.queue.recall();
    expect(other.queue.views()).toEqual([]);
    await until(["done"]);
    expect(world.claimed.size).toBe(0);
  });

  it("is nobody else's", async () => {
    const { world, box } = await interrupted();
    const other = aQueue(world, box, "bob");
    await other.queue.recall();
    expect(other.queue.views()).toEqual([]);
  });
});

it("what is stored is not trusted", () => {
  const box = new FakeBox();
  for (const text of ["{", "7", '[null,1,{"userId":"ana"}]']) {
    box.setItem("mediaserver.uploads", text);
    expect(aQueue(new FakeWorld(), box).memory.all()).toEqual([]);
  }
});

it("forgets everything on screen when somebody signs out, and keeps what can be resumed", async () => {
  const world = new FakeWorld();
  world.steps = ["hang"];
  const { queue, memory } = aQueue(world);
  queue.add([small("a")]);
  await expect.poll(() => world.sent.length).toBe(1);
  queue.leave();
  expect(queue.views()).toEqual([]);
  expect(memory.all()).toHaveLength(1);
  expect(world.aborted).toEqual([]);
});
