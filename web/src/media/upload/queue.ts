/**
 * The uploads of this page: some at once, the rest wait. Knows no React; `subscribe` and `views`
 * fit `useSyncExternalStore`. Closing a page loses nothing but the files themselves, see `memory`.
 */

import { ApiError } from "../../api";
import type { MediaFile } from "../api";
import { type FileMarks, isSameFile, type Remembered, type UploadMemory } from "./memory";
import { Meter, secondsLeft } from "./meter";
import { bytesKept } from "./parts";
import type { Ports, Session } from "./ports";
import { endsSession } from "./refusals";
import { transfer } from "./transfer";

/** `lost`: begun before the page was loaded again; it goes on once its file is chosen again. */
export type Stage =
  "waiting" | "starting" | "sending" | "finishing" | "paused" | "lost" | "failed" | "done";

/** What is known of an upload: a new object whenever something changes. */
export interface UploadView {
  id: string;
  name: string;
  size: number;
  stage: Stage;
  sent: number;
  bytesPerSecond: number | null;
  secondsLeft: number | null;
  /** True when a pause keeps what was sent; a form begins again. */
  keepsParts: boolean;
  /** True while the server takes no more of this person's at once. */
  held: boolean;
  error: unknown;
  media: MediaFile | null;
}

interface Entry {
  view: UploadView;
  file: File | null;
  /** Of the file, to know it by when it is chosen again. */
  lastModified: number;
  session: Session | null;
  meter: Meter;
  stop: AbortController | null;
  cancelled: boolean;
  /** Lets other tabs have the session. */
  release: (() => void) | null;
}

const ACTIVE: readonly Stage[] = ["starting", "sending", "finishing"];
/** What a browser can do well; the server may allow fewer. */
const MOST_AT_ONCE = 4;
const HELD_MS = 5000;
const TELL_MS = 200;

export class UploadQueue {
  private entries: Entry[] = [];
  private shown: readonly UploadView[] = [];
  private readonly listeners = new Set<() => void>();
  private heldUntil = 0;
  private toldAt = 0;
  private count = 0;
  private atOnce = MOST_AT_ONCE;

  constructor(
    private readonly ports: Ports,
    private readonly memory: UploadMemory,
  ) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  views = (): readonly UploadView[] => this.shown;

  /** The server lets this person have so many under way. */
  allow(most: number): void {
    this.atOnce = Math.max(1, Math.min(MOST_AT_ONCE, most));
    this.next();
  }

  /** True while leaving the page would interrupt something. */
  busy(): boolean {
    return this.entries.some((one) => one.view.stage === "waiting" || isActive(one));
  }

  /** Uploads of earlier pages of this person, for their files to be chosen again. */
  async recall(): Promise<void> {
    const taken = await this.ports.claims.taken();
    const known = new Set(this.entries.map((one) => one.session?.sessionKey));
    for (const one of this.memory.all()) {
      const { sessionKey } = one.session;
      if (!known.has(sessionKey) && !taken.has(sessionKey)) this.entries.push(this.lost(one));
    }
    this.tell();
  }

  /** Stops all and forgets what is on screen; nothing is removed at the server. For signing out. */
  leave(): void {
    for (const entry of this.entries) {
      entry.stop?.abort();
      this.free(entry);
    }
    this.entries = [];
    this.tell();
  }

  /** Files that are known from an earlier page go on where they were. */
  add(files: Iterable<File>): void {
    for (const file of files) {
      const lost = this.entries.find((one) => fits(one, file));
      if (lost !== undefined) this.found(lost, file);
      else this.entries.push(this.entry(file, file));
    }
    this.tell();
    this.next();
  }

  /** The file of a lost upload; false, and nothing happens, when it is another. */
  continueWith(id: string, file: File): boolean {
    const entry = this.find(id);
    if (entry === null || !fits(entry, file)) return false;
    this.found(entry, file);
    this.next();
    return true;
  }

  pause(id: string): void {
    const entry = this.find(id);
    if (entry === null || (entry.view.stage !== "waiting" && !isActive(entry))) return;
    entry.stop?.abort();
    this.change(entry, { stage: "paused", bytesPerSecond: null, secondsLeft: null, held: false });
    this.next();
  }

  /** After a pause, or after a failure. */
  resume(id: string): void {
    const entry = this.find(id);
    if (entry === null || (entry.view.stage !== "paused" && entry.view.stage !== "failed")) return;
    this.change(entry, { stage: "waiting", error: null });
    this.next();
  }

  /** Ends it, also at the server, and takes it off the list. */
  cancel(id: string): void {
    const entry = this.find(id);
    if (entry === null) return;
    entry.cancelled = true;
    entry.stop?.abort();
    this.entries = this.entries.filter((one) => one !== entry);
    this.heldUntil = 0;
    this.endSession(entry);
    this.tell();
    this.next();
  }

  /** Takes what is done off the list. */
  clear(): void {
    this.entries = this.entries.filter((one) => one.view.stage !== "done");
    this.tell();
  }

  private found(entry: Entry, file: File): void {
    entry.file = file;
    this.change(entry, { stage: "waiting" });
  }

  private next(): void {
    const waits = this.entries.filter((one) => one.view.stage === "waiting");
    const running = this.entries.filter(isActive).length;
    if (this.heldUntil > this.ports.now()) return;
    for (const entry of waits.slice(0, Math.max(0, this.atOnce - running))) void this.run(entry);
  }

  private async run(entry: Entry): Promise<void> {
    const { file } = entry;
    if (file === null) return;
    const stop = new AbortController();
    entry.stop = stop;
    entry.meter.forget();
    const hooks = {
      onSession: (session: Session | null) => this.note(entry, file, session),
      onStage: (stage: Stage) => {
        if (!stop.signal.aborted) this.change(entry, { stage, held: false });
      },
      onProgress: (sent: number) => {
        if (!stop.signal.aborted) this.progress(entry, sent);
      },
    };
    this.change(entry, { stage: "starting" });
    try {
      const media = await transfer(file, entry.session, this.ports, hooks, stop.signal);
      this.heldUntil = 0;
      this.note(entry, file, null);
      this.change(entry, { stage: "done", media, sent: file.size });
    } catch (error) {
      if (!stop.signal.aborted) this.failed(entry, file, error);
      // what began just as it was cancelled must not stay behind
      else if (entry.cancelled) this.endSession(entry);
    }
    if (entry.stop === stop) entry.stop = null;
    this.next();
  }

  private endSession(entry: Entry): void {
    this.free(entry);
    if (entry.session === null) return;
    const { sessionKey } = entry.session;
    entry.session = null;
    this.memory.drop(sessionKey);
    void this.ports.api.abort(sessionKey).catch(() => undefined);
  }

  private failed(entry: Entry, file: File, error: unknown): void {
    if (error instanceof ApiError && error.code === "too_many_uploads") {
      return this.hold(entry, error.retryAfter);
    }
    if (endsSession(error)) this.note(entry, file, null);
    const sent = sentBy(entry);
    this.change(entry, { stage: "failed", error, sent, bytesPerSecond: null, secondsLeft: null });
  }

  /** The server counts uploads of other pages, too: this one waits until it may be its turn. */
  private hold(entry: Entry, retryAfter: number | null): void {
    const ms = Math.max(HELD_MS, (retryAfter ?? 0) * 1000);
    this.heldUntil = this.ports.now() + ms;
    this.change(entry, { stage: "waiting", held: true });
    void this.ports.rest(ms, new AbortController().signal).then(() => {
      this.heldUntil = 0;
      this.next();
    });
  }

  private note(entry: Entry, file: File, session: Session | null): void {
    if (session === null && entry.session !== null) this.memory.drop(entry.session.sessionKey);
    if (session?.sessionKey !== entry.session?.sessionKey) this.free(entry);
    entry.session = session;
    if (session !== null) entry.release ??= this.ports.claims.take(session.sessionKey);
    if (session !== null && this.entries.includes(entry)) this.memory.keep(file, session);
    this.change(entry, { keepsParts: session?.kind === "multipart" });
  }

  private free(entry: Entry): void {
    entry.release?.();
    entry.release = null;
  }

  private progress(entry: Entry, sent: number): void {
    const now = this.ports.now();
    entry.meter.note(now, sent);
    const rate = entry.meter.rate(now);
    const left = secondsLeft(entry.view.size - sent, rate);
    entry.view = { ...entry.view, sent, bytesPerSecond: rate, secondsLeft: left };
    if (now - this.toldAt < TELL_MS && sent < entry.view.size) return;
    this.toldAt = now;
    this.tell();
  }

  private change(entry: Entry, change: Partial<UploadView>): void {
    entry.view = { ...entry.view, ...change };
    this.tell();
  }

  private tell(): void {
    this.shown = this.entries.map((one) => one.view);
    for (const listener of this.listeners) listener();
  }

  private find(id: string): Entry | null {
    return this.entries.find((one) => one.view.id === id) ?? null;
  }

  private lost(one: Remembered): Entry {
    const entry = this.entry(one, null);
    entry.session = one.session;
    entry.view = {
      ...entry.view,
      stage: "lost",
      sent: sentBy(entry),
      keepsParts: one.session.kind === "multipart",
    };
    return entry;
  }

  private entry(like: FileMarks, file: File | null): Entry {
    this.count += 1;
    const view: UploadView = {
      id: `upload-${this.count}`,
      name: like.name,
      size: like.size,
      stage: "waiting",
      sent: 0,
      bytesPerSecond: null,
      secondsLeft: null,
      keepsParts: false,
      held: false,
      error: null,
      media: null,
    };
    const { lastModified } = like;
    return {
      view,
      file,
      lastModified,
      session: null,
      meter: new Meter(),
      stop: null,
      cancelled: false,
      release: null,
    };
  }
}

/** Whether it is this lost upload's file. */
function fits({ view, lastModified }: Entry, file: File): boolean {
  return view.stage === "lost" && isSameFile(file, { ...view, lastModified });
}

function isActive(entry: Entry): boolean {
  return ACTIVE.includes(entry.view.stage);
}

function sentBy({ session, view }: Entry): number {
  if (session === null) return 0;
  if (session.sent) return view.size;
  return session.kind === "multipart" ? bytesKept(session, view.size) : 0;
}
