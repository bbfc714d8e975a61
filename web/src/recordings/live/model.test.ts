import { describe, expect, it } from "vitest";
import { PlayClock } from "./clock";
import {
  delayInWords,
  hasPicture,
  liveEdge,
  type LiveStream,
  MARGIN,
  neededAt,
  seatsOf,
  shownAt,
} from "./model";

const stream = (change: Partial<LiveStream>): LiveStream => ({
  streamId: "s1",
  participantId: "ana-lopez-0123456789ab",
  participantName: "",
  source: "camera",
  contentType: 'video/webm; codecs="vp8, opus"',
  startSeconds: 0,
  seconds: 60,
  ended: false,
  url: "/s1",
  ...change,
});

describe("seats", () => {
  it("puts one person's streams together and screens first", () => {
    const seats = seatsOf([
      stream({ streamId: "b", startSeconds: 20 }),
      stream({ streamId: "a", ended: true, seconds: 20 }),
      stream({ streamId: "s", source: "screen", startSeconds: 5 }),
    ]);
    expect(seats.map((seat) => seat.name)).toEqual(["Ana Lopez’s screen", "Ana Lopez"]);
    expect(seats[1]?.streams.map((one) => one.streamId)).toEqual(["a", "b"]);
  });

  it("shows one stream after the other, and nothing before and behind them", () => {
    const [seat] = seatsOf([
      stream({ streamId: "a", startSeconds: 10, seconds: 10, ended: true }),
      stream({ streamId: "b", startSeconds: 20, seconds: 5, ended: true }),
    ]);
    if (seat === undefined) throw new Error("no seat");
    const at = (seconds: number) => shownAt(seat, seconds)?.streamId ?? null;
    expect([at(0), at(10), at(19), at(20), at(26)]).toEqual([null, "a", "a", "b", null]);
    expect(neededAt(seat, 17).map((one) => one.streamId)).toEqual(["a", "b"]);
    expect(neededAt(seat, 30)).toEqual([]);
  });

  it("knows sound alone", () => {
    expect(hasPicture(stream({}))).toBe(true);
    expect(hasPicture(stream({ contentType: 'audio/webm; codecs="opus"' }))).toBe(false);
  });
});

describe("the live edge", () => {
  it("is where all that grow can be played", () => {
    const streams = [stream({ seconds: 60 }), stream({ seconds: 59 })];
    expect(liveEdge(streams)).toBe(59 - MARGIN);
  });

  it("is not held back by what ended or has only begun", () => {
    const streams = [
      stream({ seconds: 60 }),
      stream({ seconds: 10, ended: true }),
      stream({ startSeconds: 30, seconds: 1 }),
    ];
    expect(liveEdge(streams)).toBe(60 - MARGIN);
    expect(liveEdge([])).toBe(0);
  });

  it("is told in words", () => {
    expect(delayInWords(4.2)).toBe("4 s behind");
    expect(delayInWords(125)).toBe("2 min 5 s behind");
  });
});

describe("the clock", () => {
  it("runs, is held, and stops at the edge", () => {
    const clock = new PlayClock();
    clock.advance(1000, false, 10);
    clock.advance(2000, false, 10);
    expect(clock.position).toBe(1);
    clock.advance(5000, true, 10);
    expect(clock.position).toBe(1);
    clock.advance(60_000, false, 10);
    expect(clock.position).toBe(10);
  });

  it("never goes back by itself, and only as far as told", () => {
    const clock = new PlayClock();
    clock.seek(8, 10);
    clock.advance(0, false, 5);
    clock.advance(1000, false, 5);
    expect(clock.position).toBe(8);
    clock.seek(-3, 10);
    expect(clock.position).toBe(0);
    clock.seek(99, 10);
    expect(clock.position).toBe(10);
  });

  it("stands while paused", () => {
    const clock = new PlayClock();
    clock.playing = false;
    clock.advance(0, false, 10);
    clock.advance(1000, false, 10);
    expect(clock.position).toBe(0);
  });
});
