import { describe, expect, it } from "vitest";
import { duration, fileSize, hue, initials, moment, people, roomNameFrom } from "./format";

describe("duration", () => {
  it.each([
    [0, "0:00"],
    [20.4, "0:20"],
    [59.6, "1:00"],
    [3599, "59:59"],
    [3600, "1:00:00"],
    [-1, "0:00"],
    [null, "–"],
    [Number.NaN, "–"],
  ])("%s", (seconds, text) => expect(duration(seconds)).toBe(text));
});

describe("fileSize", () => {
  it.each([
    [null, "–"],
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.0 KB"],
    [12_345, "12 KB"],
    [999_600, "1.0 MB"],
    [2_340_000, "2.3 MB"],
    [5e15, "5000 TB"],
  ])("%s", (bytes, text) => expect(fileSize(bytes)).toBe(text));
});

describe("moment", () => {
  const now = new Date(2026, 2, 12, 0, 30);
  const at = (...parts: [number, number, number, number, number]) =>
    moment(new Date(...parts).toISOString(), now, "en-GB");
  it("names near days", () => {
    expect(at(2026, 2, 12, 0, 5)).toBe("Today, 00:05");
    expect(at(2026, 2, 11, 23, 59)).toBe("Yesterday, 23:59");
    expect(at(2026, 1, 3, 14, 5)).toBe("3 Feb 2026, 14:05");
  });
  it("takes nothing and nonsense", () => {
    expect(moment(null, now)).toBe("Not started");
    expect(moment("soon", now)).toBe("soon");
  });
});

describe("people and rooms", () => {
  it.each([
    ["Ana Maria Ruiz", "AR"],
    ["ana", "A"],
    ["jo.smith@example", "JE"],
    ["", "?"],
    ["émile", "É"],
  ])("initials of %j", (name, letters) => expect(initials(name)).toBe(letters));
  it("keeps a person's colour", () => {
    expect(hue("ana")).toBe(hue("ana"));
    expect(hue("")).toBe(0);
  });
  it("counts", () => {
    expect(people(1)).toBe("1 person");
    expect(people(2)).toBe("2 people");
  });
  it("makes room names", () => {
    expect(roomNameFrom(() => 0)).toBe("amber-bay-1000");
    expect(roomNameFrom(() => 0.9999)).toBe("linden-valley-9999");
  });
});
