import { describe, expect, it } from "vitest";
import { waysOf } from "./sources";

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
