import { describe, expect, it } from "vitest";
import type { MediaFile, Rendition, RenditionStatus } from "./api";
import { isWorking, merged, renditionsToMake, tagsFrom, tagsIn } from "./model";

function rendition(name: string, status: RenditionStatus): Rendition {
  const url = status === "done" ? "/r" : null;
  return { name, status, progress: 0, url, width: null, height: null, size: null, error: null };
}

function aFile(change: Partial<MediaFile> = {}): MediaFile {
  const file = { id: "1", fileType: "video", status: "ready", width: 1280, height: 720 };
  const rest = { tags: [], renditions: [], thumbnailUrl: "/p", deletedAt: null };
  return { ...rest, ...file, ...change } as unknown as MediaFile;
}

describe("renditionsToMake", () => {
  it("offers nothing larger than the file", () => {
    expect(renditionsToMake(aFile())).toEqual(["240p", "360p", "480p", "720p", "hls"]);
    const standing = ["240p", "360p", "480p", "hls"];
    expect(renditionsToMake(aFile({ width: 480, height: 854 }))).toEqual(standing);
    expect(renditionsToMake(aFile({ width: 200, height: 100 }))).toEqual(["240p", "hls"]);
  });
  it("offers nothing that is there or being made, but again what failed", () => {
    const renditions = [
      rendition("720p", "done"),
      rendition("480p", "processing"),
      rendition("hls", "failed"),
    ];
    expect(renditionsToMake(aFile({ renditions }))).toEqual(["240p", "360p", "hls"]);
  });
  it("offers no pictures of sound", () => {
    const sound = aFile({ fileType: "audio", width: null, height: null });
    expect(renditionsToMake(sound)).not.toContain("240p");
  });
});

it("looks again soon while something is being made", () => {
  const now = Date.parse("2026-11-26T12:00:00Z");
  const fresh = { thumbnailUrl: null, createdAt: "2026-11-26T11:59:30Z" };
  expect(isWorking(aFile(), now)).toBe(false);
  expect(isWorking(aFile({ status: "processing" }), now)).toBe(true);
  expect(isWorking(aFile({ renditions: [rendition("hls", "queued")] }), now)).toBe(true);
  expect(isWorking(aFile(fresh), now)).toBe(true);
  expect(isWorking(aFile({ ...fresh, fileType: "audio" }), now)).toBe(false);
  expect(isWorking(aFile({ ...fresh, deletedAt: "2026-11-26T11:59:40Z" }), now)).toBe(false);
  expect(isWorking(aFile(fresh), now + 60_000)).toBe(false);
});

it("takes tags apart, each once", () => {
  expect(tagsFrom(" a, b b,,a ")).toEqual(["a", "b b"]);
  expect(tagsIn([aFile({ tags: ["b", "a"] }), aFile({ tags: ["a"] })], "z")).toEqual([
    "a",
    "b",
    "z",
  ]);
});

it("shows a file once when pages overlap", () => {
  expect(merged([[aFile()], [aFile(), aFile({ id: "2" })]])).toHaveLength(2);
});
