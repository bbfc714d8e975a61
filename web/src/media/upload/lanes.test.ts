import { expect, it } from "vitest";
import { Lanes } from "./lanes";

function task() {
  let end = () => {};
  const ended = new Promise<void>((resolve) => (end = resolve));
  let began = false;
  return {
    run: async () => {
      began = true;
      await ended;
    },
    end: () => end(),
    began: () => began,
  };
}

it("lets so many in, the next when one is out, and forgets those that gave up", async () => {
  const lanes = new Lanes(1);
  const [first, second, third] = [task(), task(), task()];
  const live = new AbortController().signal;
  const tired = new AbortController();
  const one = lanes.run(live, first.run);
  const two = lanes.run(tired.signal, second.run);
  const three = lanes.run(live, third.run);
  tired.abort(new Error("tired"));
  await expect(two).rejects.toThrow("tired");
  expect([first.began(), second.began(), third.began()]).toEqual([true, false, false]);
  first.end();
  await one;
  await expect.poll(third.began).toBe(true);
  third.end();
  await three;
  await lanes.run(live, async () => {});
});

it("frees its lane when what runs in it throws", async () => {
  const lanes = new Lanes(1);
  const signal = new AbortController().signal;
  const broken = lanes.run(signal, () => Promise.reject(new Error("broken")));
  await expect(broken).rejects.toThrow("broken");
  await expect(lanes.run(signal, async () => 7)).resolves.toBe(7);
});
