import { describe, expect, it } from "vitest";
import { ApiError } from "../api";
import { explainMedia, isAboutTheFile, listed } from "./explain";
import type { UploadView } from "./upload/queue";
import { WatchTime } from "./watchTime";
import { bitrateWords, limitsWords, newsOf, percentOf, progressWords, qualityWords } from "./words";

const VIEW: UploadView = {
  id: "1",
  name: "film.mp4",
  size: 101_000_000,
  stage: "sending",
  sent: 12_000_000,
  bytesPerSecond: 3_400_000,
  secondsLeft: 26.2,
  keepsParts: true,
  held: false,
  error: null,
  media: null,
};

const SMALL = "0 B of 1.0 MB · 1.0 MB/s · 0:01 left";

describe("progressWords", () => {
  it.each<[Partial<UploadView>, string]>([
    [{}, "12 MB of 101 MB · 3.4 MB/s · 0:26 left"],
    [{ bytesPerSecond: null, secondsLeft: null }, "12 MB of 101 MB"],
    [
      { keepsParts: false, bytesPerSecond: null, secondsLeft: null },
      "12 MB of 101 MB · a pause starts it over",
    ],
    [{ keepsParts: false, size: 1e6, sent: 0, bytesPerSecond: 1e6, secondsLeft: 1 }, SMALL],
    [{ stage: "waiting", held: true }, "Waits: the server takes no more of your files at once"],
    [{ stage: "paused" }, "Paused · 12 MB of 101 MB"],
    [{ stage: "paused", keepsParts: false }, "Paused · begins again from the start"],
    [{ stage: "lost" }, "12 MB of 101 MB are there already. Choose the file again to go on."],
    [{ stage: "lost", sent: 0 }, "Interrupted. Choose the file again to send it."],
    [{ stage: "finishing" }, "All sent · the server looks into it"],
  ])("%o", (change, words) => {
    expect(progressWords({ ...VIEW, ...change })).toBe(words);
  });
});

it("says 100 % only when all of it is there", () => {
  expect(percentOf({ ...VIEW, sent: VIEW.size - 1 })).toBe(99);
  expect(percentOf({ ...VIEW, sent: VIEW.size })).toBe(100);
});

it("says what may be uploaded", () => {
  const limits = { formats: ["mp4", "webm", "mov"], largestBytes: 524_288_000, atOnce: 5 };
  expect(limitsWords(limits)).toBe("MP4, WebM and MOV, up to 524 MB each");
});

it("tells the news once", () => {
  const done: UploadView = { ...VIEW, stage: "done" };
  expect(newsOf([VIEW], [done])).toBe("film.mp4 is uploaded.");
  expect(newsOf([done], [done])).toBe("");
  expect(newsOf([VIEW], [{ ...VIEW, stage: "failed" }])).toBe("film.mp4 could not be uploaded.");
});

it("writes rates and qualities as people do", () => {
  expect([4_321_000, 128_000, null].map(bitrateWords)).toEqual(["4.3 Mbit/s", "128 kbit/s", "–"]);
  expect(["4k", "720p"].map(qualityWords)).toEqual(["4K", "720p"]);
});

describe("explainMedia", () => {
  const words = (code: string, status: number, details: unknown = null) =>
    explainMedia(new ApiError(code, "it has no sound", status, details));

  it("names what the server takes", () => {
    const { title, advice } = words("unsupported_format", 415, { allowedFormats: ["mp4", "webm"] });
    expect(title).toBe("This kind of file is not accepted");
    expect(advice).toContain("MP4 and WebM");
  });
  it("names the limit that was hit", () => {
    const large = { limitBytes: 524_288_000, fileSize: 600_000_000 };
    expect(words("file_too_large", 413, large).advice).toBe(
      "It has 600 MB, and this server takes 524 MB at most.",
    );
    expect(words("too_long", 422, { durationSeconds: 7300, limitSeconds: 7200 }).advice).toContain(
      "2:00:00",
    );
  });
  it("does without details, and with codes that it does not know", () => {
    expect(words("file_too_large", 413).advice).toContain("too much");
    expect(words("not_playable", 422).advice).toBe("It has no sound.");
    expect(words("something_new", 400)).toEqual({
      title: "The server refused",
      advice: "it has no sound",
    });
    expect(explainMedia(new Error("x")).title).toBe("Something went wrong");
  });
  it("knows when the same file would be refused again", () => {
    expect(isAboutTheFile(new ApiError("truncated", "", 422))).toBe(true);
    expect(isAboutTheFile(new ApiError("unreachable", "", 0))).toBe(false);
  });
  it("lists", () => {
    expect([["A"], ["A", "B"], ["A", "B", "C"]].map(listed)).toEqual([
      "A",
      "A and B",
      "A, B and C",
    ]);
  });
});

it("counts what was watched, not what was skipped", () => {
  const time = new WatchTime();
  time.note(0, false);
  time.note(1, false);
  time.note(60, false); // a jump
  time.note(61.5, true);
  time.note(70, false); // paused between
  time.note(71, false);
  time.note(20, false); // back
  expect(time.take()).toEqual({ seconds: 3.5, continued: false });
  expect(time.take()).toBeNull();
  time.note(20.5, false);
  expect(time.take()).toBeNull(); // too little; it counts with the next
  time.note(21.5, false);
  expect(time.take()).toEqual({ seconds: 1.5, continued: true });
});
