import { describe, expect, it } from "vitest";
import type { MediaFile } from "./api";
import { stable, withKnownLinks } from "./links";

describe("stable", () => {
  const link = (path: string, expiry: number) => `${path}?sig=${expiry}.abc`;
  it.each([
    ["holds long enough", link("/a", 9000), link("/a", 9999), link("/a", 9000)],
    ["expires soon", link("/a", 2700), link("/a", 9999), link("/a", 9999)],
    ["is of another path", link("/b", 9000), link("/a", 9999), link("/a", 9999)],
    ["is not signed", "/a", "/a?x=1", "/a?x=1"],
    ["was none", null, link("/a", 9999), link("/a", 9999)],
  ])("a link that %s", (_what, old, now, kept) => {
    expect(stable(old, now, 1000)).toBe(kept);
  });
  it("gives none when there is none any more", () => {
    expect(stable(link("/a", 9000), null, 1000)).toBeNull();
  });
});

describe("withKnownLinks", () => {
  const file = (sig: number, cues = 1) =>
    ({
      id: "1",
      filename: `at ${sig}`,
      thumbnailUrl: `/p?sig=${sig}.x`,
      captions: [{ language: "en", label: "", cues, url: `/c?sig=${sig}.x` }],
    }) as unknown as MediaFile;

  it("keeps links and nothing else of the answer before", () => {
    const [kept] = withKnownLinks([file(9000)], [file(9001)], 1000);
    expect(kept).toMatchObject({ filename: "at 9001", thumbnailUrl: "/p?sig=9000.x" });
    expect(kept?.captions[0]?.url).toBe("/c?sig=9000.x");
  });
  it("has captions loaded that are other ones", () => {
    const [kept] = withKnownLinks([file(9000)], [file(9001, 2)], 1000);
    expect(kept?.captions[0]?.url).toBe("/c?sig=9001.x");
  });
  it("takes files that it has not seen as they are", () => {
    expect(withKnownLinks([], [file(9001)], 1000)).toEqual([file(9001)]);
  });
});
