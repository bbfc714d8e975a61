import { beforeEach, describe, expect, it } from "vitest";
import { correction, type Medium, PATIENCE, Transport } from "./transport";

/** A media element in virtual time. */
class FakeMedium implements Medium {
  currentTime = 0;
  playbackRate = 1;
  paused = true;
  seeking = false;
  readyState = 4;
  seeks = 0;
  /** Of the machine it plays on: 1.01 gains 10 ms a second. */
  constructor(
    readonly duration: number,
    readonly pace = 1,
  ) {
    return new Proxy(this, {
      set: (target, name, value) => {
        if (name === "currentTime") target.seeks += 1;
        return Reflect.set(target, name, value);
      },
    });
  }
  get ended() {
    return this.currentTime >= this.duration;
  }
  async play() {
    this.paused = false;
  }
  pause() {
    this.paused = true;
  }
  run(seconds: number) {
    if (this.paused || this.readyState < 3) return 0;
    return Math.min(this.duration, this.currentTime + seconds * this.playbackRate * this.pace);
  }
}

let now = 0;
let media: FakeMedium[] = [];

function play(transport: Transport, seconds: number) {
  for (let passed = 0; passed < seconds * 1000; passed += 50) {
    now += 50;
    for (const one of media) {
      const to = one.run(0.05);
      if (to > 0) {
        const seeks = one.seeks;
        one.currentTime = to;
        one.seeks = seeks;
      }
    }
    transport.tick(now);
  }
}

function add(transport: Transport, id: string, start: number, medium: FakeMedium) {
  media.push(medium);
  transport.expect(id, start, start + medium.duration);
  transport.attach(id, medium);
  return medium;
}

beforeEach(() => {
  now = 0;
  media = [];
});

describe("correction", () => {
  it.each([
    [0, 1, false, 1],
    [0.04, 1, false, 1],
    [0.05, 1, false, 0.95],
    [-0.05, 1, false, 1.05],
    [0.03, 1, true, 0.97],
    [0.01, 1, true, 1],
    [0.3, 2, false, 1.88],
    [0.6, 1, false, null],
    [0.6, 2, false, 1.88],
    [-0.6, 1, true, null],
  ])("%s s off at rate %s (nudged: %s)", (off, rate, nudged, wanted) => {
    const found = correction(off, rate, nudged);
    if (wanted === null) expect(found).toBeNull();
    else expect(found).toBeCloseTo(wanted, 6);
  });
});

describe("transport", () => {
  it("plays who is there, and nobody before or after", () => {
    const transport = new Transport(20);
    const ana = add(transport, "ana", 0, new FakeMedium(10));
    const ben = add(transport, "ben", 5, new FakeMedium(15));
    transport.play();
    play(transport, 4);
    expect([ana.paused, ben.paused]).toEqual([false, true]);
    play(transport, 3);
    expect([ana.paused, ben.paused]).toEqual([false, false]);
    expect(Math.abs(ana.currentTime - (ben.currentTime + 5))).toBeLessThan(0.06);
    play(transport, 5);
    expect([ana.paused, ben.paused]).toEqual([true, false]);
    play(transport, 10);
    expect(transport.snapshot()).toMatchObject({ playing: false, position: 20 });
    transport.play();
    expect(transport.snapshot().position).toBe(0);
  });

  it("keeps elements whose clocks differ in step without seeks", () => {
    const transport = new Transport(120);
    const lead = add(transport, "a", 0, new FakeMedium(120));
    const fast = add(transport, "b", 0, new FakeMedium(119, 1.01));
    transport.play();
    let worst = 0;
    for (let second = 0; second < 100; second += 1) {
      play(transport, 1);
      worst = Math.max(worst, Math.abs(fast.currentTime - lead.currentTime));
    }
    expect(worst).toBeLessThan(0.08);
    expect(fast.seeks).toBe(0);
  });

  it("plays a piece of a file at its place, and forgets what is not played any more", () => {
    const transport = new Transport(20);
    const own = add(transport, "own", 0, new FakeMedium(5));
    const piece = new FakeMedium(18);
    media.push(piece);
    transport.expect("piece", 5, 8, 1);
    transport.attach("piece", piece);
    transport.play();
    play(transport, 6);
    expect([own.paused, piece.paused]).toEqual([true, false]);
    expect(piece.currentTime).toBeCloseTo(5, 0); // its own beginning is at second 1
    play(transport, 3);
    expect(piece.paused).toBe(true);
    transport.keepOnly(new Set(["own"]));
    transport.seek(6);
    play(transport, 1);
    expect([piece.paused, transport.snapshot().waiting]).toEqual([true, false]);
  });

  it("seeks one that is far off", () => {
    const transport = new Transport(60);
    const lead = add(transport, "a", 0, new FakeMedium(60));
    const other = add(transport, "b", 0, new FakeMedium(59));
    transport.play();
    play(transport, 2);
    other.currentTime = 30;
    play(transport, 1);
    expect(Math.abs(other.currentTime - lead.currentTime)).toBeLessThan(0.06);
  });

  it("lets one that is far ahead stand still until the others are there", () => {
    const transport = new Transport(60);
    add(transport, "a", 0, new FakeMedium(60));
    const other = add(transport, "b", 0, new FakeMedium(59));
    transport.play();
    play(transport, 2);
    const seeks = other.seeks;
    other.currentTime = 4.5;
    play(transport, 0.2);
    expect(other.paused).toBe(true);
    play(transport, 3.5);
    expect(other.paused).toBe(false);
    expect(Math.abs(other.currentTime - transport.snapshot().position)).toBeLessThan(0.1);
    expect(other.seeks).toBe(seeks + 1); // the test's own
  });

  it("gets on although seeks take long and the page is busy", () => {
    const transport = new Transport(60);
    const lead = add(transport, "a", 0, new FakeMedium(60));
    const slow = add(transport, "b", 0, new FakeMedium(59));
    transport.play();
    play(transport, 2);
    slow.currentTime = 0.5;
    let seekingFor = 0;
    let seeks = slow.seeks;
    for (let round = 0; round < 60; round += 1) {
      // ticks come late; what plays plays on in between, and a seek takes 600 ms
      if (slow.seeks !== seeks) [seeks, seekingFor] = [slow.seeks, 600];
      seekingFor = Math.max(0, seekingFor - 250);
      slow.seeking = seekingFor > 0;
      for (const one of media) {
        const to = one.seeking ? 0 : one.run(0.25);
        if (to > 0) {
          const before = one.seeks;
          one.currentTime = to;
          one.seeks = before;
        }
      }
      now += 250;
      transport.tick(now);
    }
    expect(lead.currentTime).toBeGreaterThan(12);
    expect(Math.abs(slow.currentTime - lead.currentTime)).toBeLessThan(0.35);
  });

  it("lets all wait for one that has no data, and go on when it has", () => {
    const transport = new Transport(60);
    const ana = add(transport, "ana", 0, new FakeMedium(60));
    const ben = add(transport, "ben", 0, new FakeMedium(50));
    transport.play();
    play(transport, 2);
    ben.readyState = 2;
    play(transport, 5);
    const at = transport.snapshot().position;
    expect(transport.snapshot().waiting).toBe(true);
    expect([ana.paused, ben.paused]).toEqual([true, false]);
    expect(at).toBeLessThan(2.2);
    ben.readyState = 4;
    play(transport, 2);
    expect(transport.snapshot().waiting).toBe(false);
    expect(transport.snapshot().position).toBeGreaterThan(at + 1.5);
  });

  it("goes on without one that never gets data, or is given up", () => {
    const transport = new Transport(60);
    add(transport, "ana", 0, new FakeMedium(60));
    const ben = add(transport, "ben", 0, new FakeMedium(50));
    ben.readyState = 0;
    transport.play();
    play(transport, PATIENCE / 1000 + 2);
    expect(transport.snapshot().position).toBeGreaterThan(1);
    transport.seek(10);
    play(transport, 1);
    expect(transport.snapshot().position).toBe(10);
    transport.giveUp("ben");
    play(transport, 1);
    expect(transport.snapshot().position).toBeGreaterThan(10.8);
  });

  it("waits for an element that is still to be made", () => {
    const transport = new Transport(10);
    transport.expect("ana", 0, 10);
    transport.play();
    play(transport, 1);
    expect(transport.snapshot()).toMatchObject({ waiting: true, position: 0 });
    add(transport, "ana", 0, new FakeMedium(10));
    play(transport, 1);
    expect(transport.snapshot().position).toBeGreaterThan(0.8);
  });

  it("runs on through a time of which nothing was recorded, at the speed that was chosen", () => {
    const transport = new Transport(40);
    add(transport, "a", 0, new FakeMedium(5));
    const later = add(transport, "b", 30, new FakeMedium(10));
    transport.setSpeed(2);
    transport.seek(6);
    transport.play();
    play(transport, 10);
    expect(transport.snapshot().position).toBeCloseTo(26, 0);
    play(transport, 4);
    expect(later.paused).toBe(false);
    expect(later.playbackRate).toBe(2);
    expect(transport.snapshot().position - 30).toBeCloseTo(later.currentTime, 1);
  });

  it("puts paused elements where the position is, once", () => {
    const transport = new Transport(60);
    const one = add(transport, "a", 10, new FakeMedium(50));
    transport.seek(35);
    expect(one.currentTime).toBe(25);
    for (let round = 0; round < 10; round += 1) transport.tick(round * 50);
    expect([one.seeks, one.paused]).toEqual([1, true]);
  });

  it("does not wait at the end of a file that is shorter than was said", () => {
    const transport = new Transport(20);
    media.push(new FakeMedium(9.5));
    transport.expect("short", 0, 10);
    transport.attach("short", media[0] as FakeMedium);
    add(transport, "next", 10, new FakeMedium(10));
    transport.play();
    play(transport, 12);
    expect(transport.snapshot().position).toBeGreaterThan(11);
  });

  it("stops when the browser forbids it to play", async () => {
    const transport = new Transport(10);
    const one = add(transport, "a", 0, new FakeMedium(10));
    one.play = () => Promise.reject(Object.assign(new Error("no"), { name: "NotAllowedError" }));
    transport.play();
    transport.tick(1);
    await Promise.resolve();
    await Promise.resolve();
    expect(transport.snapshot().playing).toBe(false);
  });

  it("tells listeners of changes only", () => {
    const transport = new Transport(10);
    let told = 0;
    transport.subscribe(() => (told += 1));
    transport.seek(3);
    transport.seek(3);
    expect(told).toBe(1);
    transport.pause();
    expect(told).toBe(1);
  });
});
