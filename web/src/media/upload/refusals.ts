/** What a refusal means for an upload: whether its session is over. Pure. */

import { ApiError, unwrap } from "../../api";
import type { Sent } from "./ports";

/** The server knows the session no more, or not as this person's. */
const GONE = new Set(["unknown_upload", "upload_over", "not_your_upload", "upload_gone"]);
/** Not about the file: the same request may do a little later. */
const BUSY = new Set(["upload_busy", "too_many_uploads"]);

/** An answer of a store, or of this server in its place, as the error it stands for. */
export function refusedBy(answer: Sent): ApiError {
  try {
    unwrap(answer.status, answer.text, answer.retryAfter);
  } catch (error) {
    if (error instanceof ApiError && error.code !== "bad_answer") return error;
  }
  if (answer.status === 0) return new ApiError("unreachable", "No answer came.", 0);
  const message = `The storage answered ${answer.status}${reasonIn(answer.text)}.`;
  return new ApiError("store_refused", message, answer.status);
}

/** S3 and those like it say why in XML. */
function reasonIn(text: string): string {
  const code = /<Code>([A-Za-z]{1,64})<\/Code>/.exec(text)?.[1];
  return code === undefined ? "" : ` (${code})`;
}

export function isGone(error: unknown): boolean {
  return error instanceof ApiError && GONE.has(error.code);
}

/** True when the server has ended the session, or never began one: trying again starts over. */
export function endsSession(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  if (isGone(error)) return true;
  if (error.status === 401 || error.status === 408 || BUSY.has(error.code)) return false;
  if (error.code === "upload_incomplete" || error.code === "disk_low") return false;
  return error.status >= 400 && error.status < 500 && error.status !== 429;
}
