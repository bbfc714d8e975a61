import { describe, expect, it } from "vitest";
import type { Recording, RecordingStatus } from "../api";
import { aFile as file, aRecording as recording } from "./made";
import {
  badgeOf,
  fileNames,
  isActive,
  isUnderWay,
  merge,
  nameIn,
  peopleIn,
  playable,
  posterOf,
  stageOf,
} from "./model";

describe("status", () => {
  it("knows what is under way", () => {
    const all: RecordingStatus[] = [
      "starting",
      "recording",
      "processing",
      "uploading",
      "recorded",
      "failed",
    ];
    expect(all.filter(isActive)).toEqual(["starting", "recording"]);
    expect(all.filter(isUnderWay)).toEqual(all.slice(0, 4));
    expect(all.map((status) => badgeOf(status).text)).toContain("Ready");
  });
});

describe("stage", () => {
  it("says what is done, and how far it is", () => {
    expect(stageOf(null)).toMatchObject({ percent: 0, waits: null });
    expect(stageOf({ status: "processing", progress: 0.456, error: null })).toEqual({
      does: "Putting the files together",
      waits: null,
      percent: 46,
    });
    const storing = stageOf({ status: "uploading", progress: 1.2, error: null });
    expect(storing).toEqual({ does: "Storing the files", waits: null, percent: 100 });
  });

  it("tells whoever waits that nothing is lost, without the operator's details", () => {
    const waiting = stageOf({ status: "uploading", progress: 0.5, error: "bucket b at host:9000" });
    expect(waiting.waits).toContain("safe on the server");
    expect(waiting.waits).not.toContain("host:9000");
  });
});

describe("files", () => {
  const files = [
    file({ id: "a", participantId: "ana" }),
    file({ id: "b", participantId: "ben-3f9c1d2e4a5b", contentType: "audio/webm" }),
    file({ id: "c", participantId: "ana" }),
    file({ id: "d", participantId: "", kind: "composite" }),
    file({ id: "f", participantName: "Ana B.", source: "screen" }),
    file({ id: "e", contentType: "image/jpeg", kind: "thumbnail", role: "poster" }),
    file({ id: "g", contentType: "video/mp4", kind: "hls", role: "media" }),
  ];
  it("shows what plays", () => {
    expect(playable(recording({ files })).map((one) => one.id)).toEqual(["a", "b", "c", "d", "f"]);
  });
  it("names each file", () => {
    expect([...fileNames(recording({ files })).values()]).toEqual([
      "ana",
      "Ben",
      "ana, file 2",
      "Everyone in one video",
      "Ana B.’s screen",
    ]);
  });
  it("takes the poster of a composite, then of a screen, then of anybody", () => {
    const ana = file({ id: "a", poster: "/ana" });
    const screen = file({ id: "s", source: "screen", poster: "/screen" });
    const whole = file({ id: "c", kind: "composite", poster: "/whole" });
    expect(posterOf(recording({ files: [file({}), ana] }))).toBe("/ana");
    expect(posterOf(recording({ files: [ana, screen] }))).toBe("/screen");
    expect(posterOf(recording({ files: [ana, screen, whole] }))).toBe("/whole");
    expect(posterOf(recording({ files: [file({})] }))).toBeNull();
  });
  it("counts people, not files", () => {
    expect(peopleIn(recording({ files: files.slice(0, 3) }))).toBe(2);
    expect(peopleIn(recording({}))).toBeNull();
  });
});

it.each([
  ["ada-lovelace-3f9c1d2e4a5b", "Ada Lovelace"],
  ["guest-3f9c1d2e4a5b", "Guest"],
  ["user_42", "user_42"],
  ["3f9c1d2e4a5b", "3f9c1d2e4a5b"],
])("reads the name in %s", (identity, name) => expect(nameIn(identity)).toBe(name));

it("keeps one of each recording when pages shift", () => {
  const [a, b, c] = ["a", "b", "c"].map((id) => recording({ id }));
  const pages = [[a, b] as Recording[], [b, c] as Recording[]];
  expect(merge(pages).map((one) => one.id)).toEqual(["a", "b", "c"]);
});
