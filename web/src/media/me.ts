/** This page's person and their uploads, which go on while they look at other pages. */

import { ApiError } from "../api";
import { session } from "../state";
import { uploadApi } from "./api";
import { mediaToken, userIdOf } from "./identity";
import { browserPorts } from "./upload/browser";
import { UploadMemory } from "./upload/memory";
import { UploadQueue } from "./upload/queue";

/** Throws `ApiError`: 401 when nobody is signed in. */
export async function token(): Promise<string> {
  const found = await mediaToken(session);
  if (found === null) throw new ApiError("token_missing", "Nobody is signed in.", 401);
  return found;
}

const memory = new UploadMemory(localStorage, () => userIdOf(session), Date.now);

export const uploads = new UploadQueue({ ...browserPorts, api: uploadApi(token) }, memory);

let person = userIdOf(session);

session.subscribe(() => {
  const now = userIdOf(session);
  if (now === person) return;
  person = now;
  uploads.leave();
});

window.addEventListener("beforeunload", (event) => {
  if (uploads.busy()) event.preventDefault();
});
