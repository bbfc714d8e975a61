import { afterEach, describe, expect, it, vi } from "vitest";
import { aFile, aRecording } from "../made";
import { fetchWhole, supplyOf } from "./crowd";
import { type Scene, scenesOf } from "./scene";

const sceneOf = (count: number, size: number) =>
  scenesOf(
    aRecording({
      files: Array.from({ length: count }, (_, index) =>
        aFile({ id: `f${index}`, participantId: `p${index}`, size }),
      ),
    }),
  )[0] as Scene;

describe("many files at once", () => {
  it.each([
    [5, 1e9, "http/1.1", "streamed"],
    [6, 1e6, "http/1.1", "fetched"],
    [6, 1e8, "http/1.1", "too many"],
    [6, 1e8, "h2", "streamed"],
    [60, 1e6, "h3", "streamed"],
    [6, 1e6, "", "streamed"],
  ])("%s files of %s bytes over %s are %s", (count, size, protocol, wanted) => {
    expect(supplyOf(sceneOf(count, size), protocol)).toBe(wanted);
  });

  describe("fetching", () => {
    afterEach(() => vi.unstubAllGlobals());

    it("takes three at a time, goes on after failures, and tells of them", async () => {
      const waiting: ((answer: Response) => void)[] = [];
      vi.stubGlobal("fetch", () => new Promise<Response>((done) => waiting.push(done)));
      vi.stubGlobal("URL", { createObjectURL: () => "blob:copy" });
      const signal = new AbortController().signal;
      const results = Array.from({ length: 5 }, (_, index) =>
        fetchWhole(`/f${index}`, signal).catch((error: unknown) => String(error)),
      );
      const settle = () => new Promise((done) => setTimeout(done));
      await settle();
      expect(waiting).toHaveLength(3);
      waiting[0]?.(new Response("media"));
      waiting[1]?.(new Response("", { status: 404 }));
      await settle();
      expect(waiting).toHaveLength(5);
      for (const answer of waiting.slice(2)) answer(new Response("media"));
      expect(await Promise.all(results)).toEqual([
        "blob:copy",
        "Error: the file could not be fetched: 404",
        "blob:copy",
        "blob:copy",
        "blob:copy",
      ]);
    });
  });
});
