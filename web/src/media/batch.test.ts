import { expect, it } from "vitest";
import type { BatchResult } from "./api";
import { changeAll, doneWords, failedWords, problemsIn } from "./batch";

it("asks for as many at once as the server takes, and has the results of all", async () => {
  const ids = Array.from({ length: 401 }, (_, index) => `m${index}`);
  const sizes: number[] = [];
  const send = async (_token: string, some: readonly string[]): Promise<BatchResult[]> => {
    sizes.push(some.length);
    return await Promise.resolve(some.map((id) => ({ id, success: true })));
  };
  const results = await changeAll("t", ids, "delete", {}, send);
  expect(sizes).toEqual([200, 200, 1]);
  expect(results.map(({ id }) => id)).toEqual(ids);
});

it("names each file that could not be changed, and why", () => {
  const error = { code: "media_deleted", message: "in the trash", status: 410 };
  const results = [
    { id: "a", success: true },
    { id: "b", success: false, error },
    { id: "c", success: false, error: { code: "new_one", message: "because", status: 409 } },
  ];
  expect(problemsIn(results)).toEqual([
    { id: "b", what: expect.objectContaining({ title: "This file is in the trash" }) },
    { id: "c", what: expect.objectContaining({ advice: "because" }) },
  ]);
});

it("says what was done", () => {
  expect(doneWords("delete", 1)).toBe("1 file is in the trash");
  expect(doneWords("restore", 3)).toBe("3 files are back in the library");
  expect(failedWords("tag", 1, 3)).toBe("1 of 3 files could not be tagged");
});
