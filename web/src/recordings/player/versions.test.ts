import { describe, expect, it } from "vitest";
import type { Integrity, TrackIntegrity } from "../../api";
import { aFile, aRecording } from "../made";
import { clipsOf, type Scene, scenesOf } from "./scene";
import { versionsOf } from "./versions";

const server = aFile({ id: "server", startSeconds: 0, durationSeconds: 100 });
const own = (id: string, startSeconds: number, durationSeconds: number) =>
  aFile({ id, kind: "client", startSeconds, durationSeconds });
const spans = (clips: { id: string; start: number; end: number; origin: number }[]) =>
  clips.map(({ id, start, end, origin }) => [id, start, end, origin]);

const clientTrack = (change: Partial<TrackIntegrity>): Integrity => ({
  tracks: [
    {
      trackId: "client/0/video",
      participantId: "ana",
      kind: "video",
      source: "client",
      packetsReceived: 1,
      packetsLost: 0,
      packetsRecovered: 0,
      gaps: [],
      undecodable: [],
      resolutions: [],
      ...change,
    },
  ],
});

describe("two recordings of one person", () => {
  it("fills the holes of the own one with pieces of the server's", () => {
    const made = versionsOf([server, own("a", 2, 48), own("b", 55, 45)], null);
    expect(spans(made.own)).toEqual([
      ["server@0.00", 0, 2, 0],
      ["a", 2, 50, 2],
      ["server@50.00", 50, 55, 0],
      ["b", 55, 100, 55],
    ]);
    expect(spans(made.server)).toEqual([["server", 0, 100, 0]]);
    expect(made.usual).toBe("own");
  });

  it("leaves out holes that nobody notices", () => {
    const made = versionsOf([server, own("a", 0.3, 99.6)], null);
    expect(spans(made.own).map(([id]) => id)).toEqual(["a"]);
  });

  it("shows the server's where there is no other", () => {
    expect(versionsOf([server], null)).toMatchObject({ own: [], usual: "server" });
  });

  it.each([
    [{ gaps: [{ startSeconds: 1, durationSeconds: 2, reason: "missing" }] }, "server"],
    [{ undecodable: [{ startSeconds: 1, durationSeconds: 2 }] }, "server"],
    [{ undecodable: [{ startSeconds: 1, durationSeconds: 0.2 }] }, "own"],
    [{ gaps: [{ startSeconds: 1, durationSeconds: 2, reason: "muted" }] }, "own"],
    [{ participantId: "ben", undecodable: [{ startSeconds: 1, durationSeconds: 2 }] }, "own"],
  ])("with %j shows the %s's first", (change, usual) => {
    expect(versionsOf([server, own("a", 0, 100)], clientTrack(change)).usual).toBe(usual);
  });

  it("shows the own one where the server has recorded nothing", () => {
    const made = versionsOf([own("a", 20, 5)], clientTrack({ undecodable: [server] as never }));
    expect(made.usual).toBe("own");
  });
});

describe("a scene of both", () => {
  const files = [
    server,
    own("a", 0, 100),
    aFile({ id: "ben", participantId: "ben", durationSeconds: 90 }),
    aFile({ id: "show", kind: "client", source: "screen", startSeconds: 10, durationSeconds: 9 }),
  ];
  const sceneOf = (choices = {}) => scenesOf(aRecording({ files }), choices)[0] as Scene;

  it("has one place for a person, and plays what was chosen there", () => {
    const usual = sceneOf();
    expect(usual.tiles.map(({ key, version, choice }) => [key, version, choice])).toEqual([
      ["ana screen", "own", false],
      ["ana camera", "own", true],
      ["ben camera", "server", false],
    ]);
    expect(clipsOf(usual).map((clip) => clip.id)).toEqual(["show", "a", "ben"]);
    const chosen = sceneOf({ "ana camera": "server", "ben camera": "own" });
    expect(clipsOf(chosen).map((clip) => clip.id)).toEqual(["show", "server", "ben"]);
    expect(chosen.total).toBe(usual.total);
  });
});
