/** Sends a file as a form, in one request: the way of smaller files. */

import { isPassing, MOST_TRIES, pauseMs } from "./backoff";
import { checkReadable } from "./readable";
import { refusedBy } from "./refusals";
import type { FormSession, Ports } from "./ports";

/** Throws `ApiError`, and what `signal` was aborted with. A form begins again at its first byte. */
export async function sendForm(
  file: File,
  session: FormSession,
  ports: Ports,
  onProgress: (sent: number) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let tried = 1; ; tried += 1) {
    const body = new FormData();
    for (const [name, value] of Object.entries(session.fields)) body.append(name, value);
    body.append("file", file);
    const answer = await ports.send({
      method: "POST",
      url: session.uploadUrl,
      body,
      signal,
      onProgress: (sent) => onProgress(Math.min(sent, file.size)),
    });
    signal.throwIfAborted();
    if (answer.status >= 200 && answer.status < 300) return;
    onProgress(0);
    if (answer.status === 0) await checkReadable(file);
    if (!isPassing(answer.status) || tried >= MOST_TRIES) throw refusedBy(answer);
    await ports.rest(pauseMs(tried, ports.random, answer.retryAfter), signal);
  }
}
