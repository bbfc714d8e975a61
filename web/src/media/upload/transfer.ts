/** One file on its way: a session, its bytes, the media file it becomes. */

import { ApiError } from "../../api";
import type { MediaFile } from "../api";
import { isPassing, MOST_TRIES, pauseMs } from "./backoff";
import { sendForm } from "./form";
import { sendParts } from "./multipart";
import { forgetMissing } from "./parts";
import type { Ports, Session } from "./ports";
import { isGone } from "./refusals";

export interface TransferHooks {
  /** The session began, or knows more than before; null when it is over. */
  onSession: (session: Session | null) => void;
  onStage: (stage: "starting" | "sending" | "finishing") => void;
  onProgress: (sent: number) => void;
}

/** How often the server hears of bytes that go past it; that keeps the session alive, too. */
const REPORT_MS = 5000;

/**
 * Goes on where `before` stopped, or begins. Parts that the store has lost meanwhile are sent again,
 * and a session that the server has given up is begun again, once. Throws `ApiError`, and what `signal` was aborted with.
 */
export async function transfer(
  file: File,
  before: Session | null,
  ports: Ports,
  hooks: TransferHooks,
  signal: AbortSignal,
): Promise<MediaFile> {
  try {
    return await once(file, before, ports, hooks, signal);
  } catch (error) {
    if (before === null || signal.aborted) throw error;
    if (error instanceof ApiError && error.code === "upload_incomplete") {
      forgetMissing(before, error.details);
      return await once(file, before, ports, hooks, signal);
    }
    if (!isGone(error) && !isOldForm(error, before)) throw error;
    hooks.onSession(null);
    await ports.api.abort(before.sessionKey).catch(() => undefined);
    return await once(file, null, ports, hooks, signal);
  }
}

/** The signature of a form holds for as long as its session, and a pause may be longer. */
function isOldForm(error: unknown, session: Session): boolean {
  if (session.kind !== "form" || !(error instanceof ApiError)) return false;
  return error.status === 403 || error.status === 400;
}

async function once(
  file: File,
  before: Session | null,
  ports: Ports,
  hooks: TransferHooks,
  signal: AbortSignal,
): Promise<MediaFile> {
  hooks.onStage("starting");
  const session =
    before ?? (await patiently(() => ports.api.initiate(file, signal), ports, signal));
  hooks.onSession(session);
  if (!session.sent) {
    hooks.onStage("sending");
    await sendBytes(file, session, ports, hooks, signal);
    session.sent = true;
    hooks.onSession(session);
  }
  hooks.onProgress(file.size);
  hooks.onStage("finishing");
  return await patiently(() => ports.api.complete(session, signal), ports, signal);
}

async function sendBytes(
  file: File,
  session: Session,
  ports: Ports,
  hooks: TransferHooks,
  signal: AbortSignal,
): Promise<void> {
  let reportedAt = ports.now();
  const onProgress = (sent: number) => {
    hooks.onProgress(sent);
    if (ports.now() - reportedAt < REPORT_MS) return;
    reportedAt = ports.now();
    ports.api.report(session.sessionKey, sent).catch(() => undefined);
  };
  if (session.kind === "form") return await sendForm(file, session, ports, onProgress, signal);
  const onPart = () => hooks.onSession(session);
  await sendParts(file, session, ports, { onProgress, onPart }, signal);
}

/** Asks again while the server is away or busy. */
async function patiently<T>(ask: () => Promise<T>, ports: Ports, signal: AbortSignal): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await ask();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ApiError) || !mayPass(error) || tried >= MOST_TRIES) throw error;
      await ports.rest(pauseMs(tried, ports.random, error.retryAfter), signal);
    }
  }
}

/** Whoever has too many uploads under way waits in the queue instead, and so does a full disk. */
function mayPass(error: ApiError): boolean {
  if (error.code === "upload_busy") return true;
  return isPassing(error.status) && error.code !== "too_many_uploads" && error.status !== 507;
}
