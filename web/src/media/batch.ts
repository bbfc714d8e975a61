/** One action on many files, and what became of it in words. Pure but for the request. */

import { ApiError } from "../api";
import type { Explained } from "../explain";
import { type BatchAction, type BatchOptions, type BatchResult, batch } from "./api";
import { explainMedia } from "./explain";

/** So many files the server takes in one request. */
const MOST = 200;

/** Some files could not be changed; the others were. */
export interface BatchProblem {
  id: string;
  what: Explained;
}

/** Every file's result, also of more than one request takes. Throws `ApiError`. */
export async function changeAll(
  token: string,
  ids: readonly string[],
  action: BatchAction,
  options: BatchOptions = {},
  send = batch,
): Promise<BatchResult[]> {
  const results: BatchResult[] = [];
  for (let from = 0; from < ids.length; from += MOST) {
    results.push(...(await send(token, ids.slice(from, from + MOST), action, options)));
  }
  return results;
}

export function problemsIn(results: readonly BatchResult[]): BatchProblem[] {
  return results.flatMap(({ id, success, error }) => {
    if (success) return [];
    const { code = "error", message = "", status = 500 } = error ?? {};
    return [{ id, what: explainMedia(new ApiError(code, message, status)) }];
  });
}

const files = (count: number) => (count === 1 ? "1 file" : `${count} files`);

/** "3 files are in the trash" */
export function doneWords(action: BatchAction, count: number): string {
  const are = count === 1 ? "is" : "are";
  switch (action) {
    case "delete":
      return `${files(count)} ${are} in the trash`;
    case "restore":
      return `${files(count)} ${are} back in the library`;
    case "tag":
      return `${files(count)} ${are} tagged`;
    case "process":
      return `Versions of ${files(count)} are being made`;
  }
}

/** "2 of 3 files could not be deleted" */
export function failedWords(action: BatchAction, failed: number, total: number): string {
  const done = { delete: "deleted", restore: "restored", tag: "tagged", process: "processed" };
  return `${failed} of ${files(total)} could not be ${done[action]}`;
}
