/** All that this browser has recorded and not yet brought to the server. */

import { ChunkJournal } from "./journal";
import { hold, type Held, type Locks } from "./locks";
import { LocalRecorder, type RecorderTools } from "./recorder";
import type { LocalPart, LocalSession, Progress } from "./types";
import { ChunkUploader, type UploaderOptions } from "./uploader";

export interface LocalRecordingsOptions extends UploaderOptions {
  /** Origin and path in front of `/api/v1`; default: the page's own server. */
  baseUrl?: string;
  journal?: ChunkJournal;
  /** Milliseconds of media in a chunk; default 1000. */
  timesliceMs?: number;
  locks?: Locks;
  createRecorder?: RecorderTools["createRecorder"];
}

export interface Participation {
  recordingId: string;
  /** The identity of the token. */
  participantId: string;
  /** Kept with the session, for the application: say, what it needs for a new token. */
  context?: unknown;
}

/** Another tab of this browser records for the same participant. */
export class SessionBusy extends Error {
  constructor() {
    super("another tab of this browser records this already");
    this.name = "SessionBusy";
  }
}

export interface SavedFile {
  name: string;
  blob: Blob;
  part: LocalPart;
}

const HANDOVER_MS = 4_000;
const OPENING_MS = 3_000;

export class LocalRecordings {
  private readonly uploaders = new Map<string, ChunkUploader>();
  private readonly listeners = new Set<() => void>();
  private readonly journal: ChunkJournal;
  private readonly locks: Locks | undefined;
  private shown: Progress[] = [];
  private order: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: LocalRecordingsOptions) {
    this.journal = options.journal ?? new ChunkJournal();
    this.locks = options.locks ?? navigator.locks;
    globalThis.addEventListener?.("online", this.retryNow);
    globalThis.addEventListener?.("pagehide", this.onGone);
  }

  /** Draws on `snapshot` (made for React's useSyncExternalStore, and good for anything else). */
  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Each session that is not finished, and those that finished since the page was opened. */
  snapshot = (): readonly Progress[] => this.shown;

  /** True while closing the page would stop something: recorded media is not on the server yet. */
  get unsafe(): boolean {
    return this.shown.some(
      ({ phase, bytesSaved, bytesTotal }) =>
        phase === "recording" || (phase === "sending" && bytesSaved < bytesTotal),
    );
  }

  /**
   * A recorder for this participant of a recording. What an earlier page has recorded of it goes on:
   * its chunks are sent, and new ones become the next part. Throws SessionBusy.
   */
  async open(who: Participation): Promise<LocalRecorder> {
    const id = JSON.stringify([this.options.baseUrl ?? "", who.recordingId, who.participantId]);
    const held = await hold(this.locks, `${id}/record`, { patience: HANDOVER_MS });
    if (held === null) throw new SessionBusy();
    try {
      const uploader = await this.next(() => this.takeOver(id, who));
      await knownState(uploader);
      return new LocalRecorder(id, {
        journal: this.journal,
        uploader,
        timesliceMs: this.options.timesliceMs ?? 1000,
        createRecorder: this.options.createRecorder,
        release: held.release,
      });
    } catch (error) {
      held.release();
      throw error;
    }
  }

  /**
   * Goes on with everything that earlier pages have left: asks the server what it has, sends the
   * rest, completes. Sessions that another tab works on are left to it. Returns what was found.
   */
  resumeAll(): Promise<readonly Progress[]> {
    return this.next(async () => {
      const sessions = await this.journal.sessions().catch(() => []);
      for (const session of sessions) {
        if (this.uploaders.has(session.id)) continue;
        const uploader = await this.engage(session, {});
        if (uploader !== null) this.start(uploader);
      }
      return this.shown;
    });
  }

  /** Doesn't wait any longer before what failed is tried again. */
  retryNow = (): void => {
    for (const uploader of this.uploaders.values()) uploader.retryNow();
  };

  /** A page that the browser keeps (`persisted`) may come back, and be recorded again. */
  private readonly onGone = ({ persisted }: PageTransitionEvent) => {
    if (persisted) return;
    for (const uploader of this.uploaders.values()) uploader.lastWord();
  };

  /** Tries once more what the server has refused. */
  async reconsider(sessionId: string): Promise<void> {
    const uploader = this.uploaders.get(sessionId);
    if (uploader === undefined) return;
    await uploader.reconsider();
    this.start(uploader);
  }

  /** What is here of a session, a file for each part: all of it that the server does not have. */
  async files(sessionId: string): Promise<SavedFile[]> {
    const chunks = await this.journal.chunks(sessionId);
    const files: SavedFile[] = [];
    for (const part of await this.journal.parts(sessionId)) {
      const bytes: Blob[] = [];
      for (const key of chunks.filter((one) => one.part === part.part)) {
        const read = await this.journal.read(sessionId, key);
        if (read !== null) bytes.push(read);
      }
      if (bytes.length === 0) continue;
      const suffix = part.mimeType.includes("mp4") ? "mp4" : "webm";
      const stamp = part.startedAt.slice(0, 19).replace(/[:T]/g, "-");
      const name = `${part.source}-${stamp}-part-${part.part}.${suffix}`;
      files.push({ name, part, blob: new Blob(bytes, { type: part.mimeType.split(";")[0] }) });
    }
    return files;
  }

  /** Removes a session with all its chunks. What the server does not have of it is lost. */
  async discard(sessionId: string): Promise<void> {
    await this.uploaders.get(sessionId)?.close();
    this.uploaders.delete(sessionId);
    await this.journal.drop(sessionId);
    this.draw();
  }

  /** No longer shows a session that is done. */
  dismiss(sessionId: string): void {
    if (this.uploaders.get(sessionId)?.progress().phase !== "done") return;
    this.uploaders.delete(sessionId);
    this.draw();
  }

  /** The uploader of a session that goes on, or of a new one. */
  private async takeOver(id: string, who: Participation): Promise<ChunkUploader> {
    const { recordingId, participantId, context } = who;
    let uploader = this.uploaders.get(id) ?? null;
    if (uploader === null || ["done", "refused"].includes(uploader.progress().phase)) {
      const kept = await this.journal.session(id).catch(() => null);
      const fresh = { id, baseUrl: this.options.baseUrl ?? "", createdAt: Date.now() };
      const session = { ...fresh, ...kept, recordingId, participantId, refused: null, context };
      uploader = await this.engage({ ...session, ended: false }, { steal: true });
      if (uploader === null) throw new SessionBusy();
    }
    Object.assign(uploader.session, { ended: false, context });
    await this.journal.keep(uploader.session).catch(() => undefined); // then it lives in memory
    uploader.setRecording(true);
    this.start(uploader);
    return uploader;
  }

  private async engage(
    session: LocalSession,
    { steal = false }: { steal?: boolean },
  ): Promise<ChunkUploader | null> {
    let lock: Held | null = null;
    const uploader = new ChunkUploader(session, this.journal, {
      online: () => navigator.onLine,
      ...this.options,
    });
    const onLost = () => {
      // another tab has taken over
      if (this.uploaders.get(session.id) === uploader) this.uploaders.delete(session.id);
      void uploader.close();
      this.draw();
    };
    lock = await hold(this.locks, `${session.id}/upload`, { steal, onLost });
    if (lock === null) return null;
    await uploader.load().catch(() => undefined); // no storage: what comes is kept in memory
    this.uploaders.set(session.id, uploader);
    uploader.subscribe(() => {
      if (uploader.progress().phase === "done") lock?.release();
      this.draw();
    });
    this.draw();
    return uploader;
  }

  private start(uploader: ChunkUploader): void {
    void uploader.run();
    this.draw();
  }

  /** One after the other, so that no session is taken up twice. */
  private next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.order.then(work);
    this.order = done.catch(() => undefined);
    return done;
  }

  private draw(): void {
    this.shown = [...this.uploaders.values()].map((uploader) => uploader.progress());
    for (const listener of this.listeners) listener();
  }
}

/** Waits a little for the server's account, which says which parts there have been. */
function knownState(uploader: ChunkUploader): Promise<void> {
  return new Promise((resolve) => {
    const ready = () => {
      const { phase, waiting } = uploader.progress();
      if (uploader.state !== null || phase === "refused" || waiting !== null) done();
    };
    const timer = setTimeout(() => done(), OPENING_MS);
    const unsubscribe = uploader.subscribe(ready);
    const done = () => {
      clearTimeout(timer);
      unsubscribe();
      resolve();
    };
    ready();
  });
}
