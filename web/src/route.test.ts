import { describe, expect, it } from "vitest";
import { parsePath, recordingPath, roomPath } from "./route";

describe("parsePath", () => {
  it.each([
    ["/", { page: "home" }],
    ["/recordings", { page: "recordings" }],
    ["/recordings/", { page: "recordings" }],
    ["/recordings/RC_a-b", { page: "recording", id: "RC_a-b" }],
    ["/recordings/a/b", { page: "missing" }],
    ["/upload", { page: "upload" }],
    ["/upload/now", { page: "missing" }],
    ["/media", { page: "library" }],
    ["/media/MD_1", { page: "media", id: "MD_1" }],
    ["/media/a/b", { page: "missing" }],
    ["/room/team", { page: "room", room: "team" }],
    ["/room", { page: "missing" }],
    ["/room/a/b", { page: "missing" }],
    ["/room/%E0%A4%A", { page: "missing" }],
    ["/elsewhere", { page: "missing" }],
  ])("%s", (path, route) => {
    expect(parsePath(path)).toEqual(route);
  });

  it.each(["team", "a/b", "Grüße & more?", "100%", "#1"])("finds room %s again", (room) => {
    expect(parsePath(roomPath(room))).toEqual({ page: "room", room });
  });

  it("finds a recording again", () => {
    expect(parsePath(recordingPath("RC/1"))).toEqual({ page: "recording", id: "RC/1" });
  });
});
