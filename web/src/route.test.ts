import { describe, expect, it } from "vitest";
import { parsePath, roomPath } from "./route";

describe("parsePath", () => {
  it.each([
    ["/", { page: "home" }],
    ["/recordings", { page: "recordings" }],
    ["/recordings/", { page: "recordings" }],
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
});
