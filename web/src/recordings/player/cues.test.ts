import { describe, expect, it } from "vitest";
import { parseCues, thumbnailAt } from "./cues";

const BASE = "http://127.0.0.1/api/v1/recordings/RC_1/files/FI_c?sig=1.a";
const TEXT = `WEBVTT

NOTE made by nobody

00:00.000 --> 00:05.000
FI_s?sig=2.b#xywh=0,0,160,90

2
00:00:05.000 --> 01:00:10.500 align:start
FI_s?sig=2.b#xywh=160,90,160,90

00:20.000 --> 00:10.000
FI_s?sig=2.b#xywh=0,0,160,90

00:30.000 --> 00:40.000
words that name no picture
`;

describe("cues", () => {
  const cues = parseCues(TEXT, BASE);
  it("finds times and regions, and leaves out what names no picture", () => {
    const url = "http://127.0.0.1/api/v1/recordings/RC_1/files/FI_s?sig=2.b";
    expect(cues).toEqual([
      { start: 0, end: 5, url, x: 0, y: 0, width: 160, height: 90 },
      { start: 5, end: 3610.5, url, x: 160, y: 90, width: 160, height: 90 },
    ]);
    expect(parseCues(TEXT.replaceAll("\n", "\r\n"), BASE)).toEqual(cues);
  });

  it.each([
    [-1, 0],
    [0, 0],
    [4.999, 0],
    [5, 160],
    [9999, 160],
  ])("at %s s it is the one at x = %s", (at, x) => {
    expect(thumbnailAt(cues, at)?.x).toBe(x);
  });

  it("has none where there are none", () => {
    expect(parseCues("no cues at all", BASE)).toEqual([]);
    expect(thumbnailAt([], 3)).toBeNull();
  });
});
