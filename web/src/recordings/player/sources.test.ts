import { describe, expect, it } from "vitest";
import { sourceUrl, waysOf } from "./sources";

describe("ways to play a file", () => {
  it.each([
    [null, true, true, ["file"]],
    ["/playlist", true, false, ["native-hls", "file"]],
    ["/playlist", true, true, ["native-hls", "file"]],
    ["/playlist", false, true, ["hls.js", "file"]],
    ["/playlist", false, false, ["file"]],
  ])("playlist %s, native %s, media source %s: %s", (hls, nativeHls, mediaSource, ways) => {
    expect(waysOf({ hls }, { nativeHls, mediaSource })).toEqual(ways);
  });
});

it("asks for pieces where there are more files than connections", () => {
  expect(sourceUrl("/f?sig=1", 5)).toBe("/f?sig=1");
  expect(sourceUrl("/f?sig=1", 6)).toBe("/f?sig=1&piece=1");
  expect(sourceUrl("/f", 9)).toBe("/f?piece=1");
});
