import { describe, expect, it } from "vitest";
import { aFile, aRecording } from "../made";
import {
  clipAt,
  clipsOf,
  hasPlace,
  near,
  PEOPLE,
  pictured,
  type Scene,
  scenesOf,
  shownAt,
} from "./scene";

const files = [
  aFile({ id: "ben", participantId: "ben", startSeconds: 12, durationSeconds: 30 }),
  aFile({ id: "ana", participantId: "ana", startSeconds: 0, durationSeconds: 10 }),
  aFile({ id: "ana2", participantId: "ana", startSeconds: 60, durationSeconds: 40 }),
  aFile({
    id: "show",
    participantId: "ana",
    source: "screen",
    startSeconds: 5,
    durationSeconds: 9,
  }),
  aFile({ id: "strip", role: "strip", contentType: "image/jpeg", kind: "thumbnail" }),
  aFile({ id: "media", role: "media", contentType: "video/mp4", kind: "hls" }),
];

describe("scenes", () => {
  const [people] = scenesOf(aRecording({ files })) as [Scene];
  it("puts every person's files in one place, screens first", () => {
    expect(people.id).toBe(PEOPLE);
    expect(people.total).toBe(100);
    expect(people.tiles.map((tile) => tile.clips.map((clip) => clip.id))).toEqual([
      ["show"],
      ["ana", "ana2"],
      ["ben"],
    ]);
  });

  it("finds who is there at a moment", () => {
    const ana = people.tiles[1];
    if (ana === undefined) throw new Error("no tile");
    expect([0, 9.9, 10, 59, 60, 100].map((at) => clipAt(ana, at)?.id ?? null)).toEqual([
      "ana",
      "ana",
      null,
      null,
      "ana2",
      null,
    ]);
    expect(near(ana, 10).map((clip) => clip.id)).toEqual(["ana"]);
    expect(near(ana, 20)).toEqual([]);
    expect(near(ana, 41).map((clip) => clip.id)).toEqual(["ana2"]);
  });

  it("shows what begins in a moment, and gives screens a place only while they are shared", () => {
    const [screen, ana] = people.tiles;
    if (screen === undefined || ana === undefined) throw new Error("no tiles");
    expect([3.9, 4.1, 13, 14].map((at) => hasPlace(screen, at))).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect(shownAt(ana, 59.5)?.id).toBe("ana2");
    expect(shownAt(ana, 30)).toBeNull();
    expect(hasPlace(ana, 30)).toBe(true);
  });

  it("offers composites before the people, the newest first", () => {
    const one = aFile({ id: "c1", kind: "composite", participantId: "", durationSeconds: 99 });
    const two = aFile({ ...one, id: "c2" });
    const scenes = scenesOf(aRecording({ files: [...files, one, two] }));
    expect(scenes.map((scene) => scene.id)).toEqual(["c2", "c1", PEOPLE]);
    expect(clipsOf(scenes[0] as Scene).map((clip) => clip.id)).toEqual(["c2"]);
  });

  it("shows single tracks where nobody has a file of their own", () => {
    const track = aFile({ id: "t", kind: "track" });
    expect(clipsOf(scenesOf(aRecording({ files: [track] }))[0] as Scene)).toHaveLength(1);
    const both = scenesOf(aRecording({ files: [...files, track] }))[0] as Scene;
    expect(clipsOf(both).map((clip) => clip.id)).not.toContain("t");
  });

  it("has none without media", () => {
    expect(scenesOf(aRecording({ files: [] }))).toEqual([]);
    expect(scenesOf(aRecording({ files: [aFile({ durationSeconds: 0 })] }))).toEqual([]);
  });

  it("takes the small pictures from the focused place, then from a screen", () => {
    const cues = "/cues";
    const scene = scenesOf(
      aRecording({
        files: [
          aFile({ id: "a", participantId: "a", durationSeconds: 10, cues }),
          aFile({ id: "b", participantId: "b", durationSeconds: 20, cues }),
          aFile({ id: "s", participantId: "b", source: "screen", durationSeconds: 5, cues }),
        ],
      }),
    )[0] as Scene;
    expect(pictured(scene, 1, null)?.id).toBe("s");
    expect(pictured(scene, 1, "b camera")?.id).toBe("b");
    expect(pictured(scene, 7, "b screen")?.id).toBe("a");
    expect(pictured(scene, 30, null)).toBeNull();
  });
});
