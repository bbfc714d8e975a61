import { describe, expect, it } from "vitest";
import type { Render, RenderStatus } from "../api";
import { isMaking, optionsOf, percentOf, stateOf, titleOf } from "./renders";

const aRender = (status: RenderStatus, progress = 0): Render => ({
  id: "RN_1",
  recordingId: "RC_1",
  status,
  progress,
  options: {},
  error: null,
  fileId: null,
  createdAt: null,
  finishedAt: null,
});

describe("renders", () => {
  it("knows which are being made", () => {
    const all: RenderStatus[] = ["queued", "rendering", "uploading", "done", "failed", "cancelled"];
    expect(all.map((status) => isMaking(aRender(status)))).toEqual([
      ...[true, true, true],
      ...[false, false, false],
    ]);
    expect(new Set(all.map((status) => stateOf(aRender(status)))).size).toBe(6);
  });

  it.each([
    [0.456, 46],
    [7, 100],
    [-1, 0],
    [Number.NaN, 0],
  ])("%s is %s %%", (progress, percent) => {
    expect(percentOf(aRender("rendering", progress))).toBe(percent);
  });

  it.each([
    [{}, "Grid, 720p"],
    [{ layout: "speaker", quality: "1080p" }, "Speaker, 1080p"],
    [{ layout: "speaker", quality: { height: 900 } }, "Speaker, 720p"],
    [{ layout: "single", audioOnly: true }, "Sound only"],
  ])("names %j", (options, title) => expect(titleOf(options)).toBe(title));

  it("sends what was chosen and no more", () => {
    const form = { quality: "1080p", focus: "ana", names: true, audioOnly: false } as const;
    expect(optionsOf({ ...form, layout: "grid" })).toEqual({
      layout: "grid",
      quality: "1080p",
      names: true,
    });
    expect(optionsOf({ ...form, layout: "single" })).toMatchObject({ focus: "ana" });
    expect(optionsOf({ ...form, layout: "single", audioOnly: true })).toEqual({ audioOnly: true });
  });
});
