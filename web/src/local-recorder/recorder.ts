/** Records streams of one participant of one recording, each MediaRecorder session as a part. */

import type { ChunkJournal } from "./journal";
import { type Quality, recorderOptions } from "./quality";
import { nextPart } from "./ranges";
import { Take } from "./take";
import type { LocalPart, Progress, Source } from "./types";
import type { ChunkUploader } from "./uploader";

export interface StartOptions extends Quality {
  /** What the stream shows. One of each is recorded at a time. */
  source?: Source;
}

export type RecorderState = "idle" | "recording" | "paused" | "stopped";

export interface RecorderEvent {
  state: RecorderState;
  /** Why a part ended that nobody ended: an encoder that failed, a track that went. */
  error: Error | null;
}

export interface RecorderTools {
  journal: ChunkJournal;
  uploader: ChunkUploader;
  /** Milliseconds of media in a chunk: at most this is lost when the device dies. */
  timesliceMs: number;
  createRecorder?: (stream: MediaStream, options: MediaRecorderOptions) => MediaRecorder;
  /** Gives the session free for others. */
  release: () => void;
}

interface Wish {
  stream: MediaStream;
  options: StartOptions;
}

/** Chunks are at most this large, so that little is sent again when a connection breaks. */
const LARGEST = 8 * 1024 * 1024;
/** A recorder that ended by itself sooner than this is not tried again, in milliseconds. */
const SOUND_MS = 10_000;

export class LocalRecorder {
  private readonly takes = new Map<Source, Take>();
  private readonly wishes = new Map<Source, Wish>();
  private readonly listeners = new Set<(event: RecorderEvent) => void>();
  private current: RecorderState = "idle";
  private leaving = false;
  private order: Promise<void> = Promise.resolve();

  constructor(
    readonly sessionId: string,
    private readonly tools: RecorderTools,
  ) {
    window.addEventListener("beforeunload", this.onLeaving);
    document.addEventListener("visibilitychange", this.onHidden);
  }

  get state(): RecorderState {
    return this.current;
  }

  get progress(): Progress {
    return this.tools.uploader.progress();
  }

  /** Hears of states and of parts that ended by themselves. */
  subscribe(listener: (event: RecorderEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Hears whenever `progress` has changed. */
  onProgress(listener: () => void): () => void {
    return this.tools.uploader.subscribe(listener);
  }

  /**
   * Records a stream; one that is recorded already as the same source ends, and this becomes the
   * next part. Rejects with a DOMException when the browser can't record it.
   */
  start(stream: MediaStream, options: StartOptions = {}): Promise<void> {
    const source = options.source ?? "camera";
    return this.next(async () => {
      if (this.current === "stopped") throw new Error("this recorder has been stopped");
      this.wishes.set(source, { stream, options });
      if (this.current !== "paused") await this.begin(source);
    });
  }

  /** Ends the recording of one source; another may follow as the next part. */
  end(source: Source = "camera"): Promise<void> {
    return this.next(async () => {
      this.wishes.delete(source);
      await this.takes.get(source)?.stop();
      if (this.takes.size === 0 && this.current === "recording") this.change("idle");
    });
  }

  /** Ends the parts for now: a MediaRecorder that is paused would leave out the time between. */
  pause(): Promise<void> {
    return this.next(async () => {
      if (this.current !== "recording") return;
      this.change("paused");
      await this.stopTakes();
    });
  }

  resume(): Promise<void> {
    return this.next(async () => {
      if (this.current !== "paused") return;
      this.change("idle");
      for (const source of this.wishes.keys()) await this.begin(source);
    });
  }

  /** Ends for good. Resolves when all is in the journal; the sending goes on by itself. */
  stop(): Promise<void> {
    return this.finish(true);
  }

  /** Ends recording without completing: this tab or another may go on, while the recording runs. */
  leave(): Promise<void> {
    return this.finish(false);
  }

  private finish(forGood: boolean): Promise<void> {
    return this.next(async () => {
      if (this.current === "stopped") return;
      this.change("stopped");
      this.wishes.clear();
      await this.stopTakes();
      window.removeEventListener("beforeunload", this.onLeaving);
      document.removeEventListener("visibilitychange", this.onHidden);
      if (forGood) await this.tools.uploader.end();
      else this.tools.uploader.setRecording(false);
      this.tools.release();
    });
  }

  private async begin(source: Source): Promise<void> {
    const wish = this.wishes.get(source);
    if (wish === undefined) return;
    await this.takes.get(source)?.stop();
    this.takes.delete(source);
    const { stream, options } = wish;
    const { createRecorder = (...of) => new MediaRecorder(...of) } = this.tools;
    const recorder = createRecorder(stream, recorderOptions(stream, options));
    const take = this.takeOf(source, recorder);
    this.takes.set(source, take);
    try {
      take.start(this.tools.timesliceMs);
    } catch (error) {
      this.takes.delete(source);
      throw error;
    }
    this.tools.uploader.setRecording(true);
    this.change("recording");
  }

  private takeOf(source: Source, recorder: MediaRecorder): Take {
    const { uploader, journal } = this.tools;
    const part: LocalPart = {
      session: this.sessionId,
      part: this.freePart(),
      source,
      mimeType: recorder.mimeType,
      startedAt: new Date().toISOString(),
      next: 0,
      bytes: 0,
    };
    uploader.added(part, null);
    const take: Take = new Take(recorder, part, journal, this.largest, {
      onBegin: (begun) => uploader.added(begun, null),
      onChunk: (grown, key) => uploader.added(grown, key),
      onBreak: () => this.follow(source, take),
      onEnd: (error) => this.onEnd(source, take, error),
    });
    return take;
  }

  /** Another part, with a clock of its own, for as long as this is what is recorded. */
  private follow(source: Source, take: Take): void {
    void this.next(async () => {
      if (this.takes.get(source) === take) await this.begin(source);
    }).catch((error: unknown) => this.rest(error as Error));
  }

  private onEnd(source: Source, take: Take, error: Error | null): void {
    const lost = this.takes.get(source) === take && !take.wasAsked && this.current === "recording";
    if (lost && take.age > SOUND_MS && this.wishes.get(source)?.stream.active) {
      return this.follow(source, take);
    }
    if (this.takes.get(source) === take) this.takes.delete(source);
    this.rest(error);
  }

  private rest(error: Error | null): void {
    if (this.takes.size === 0 && this.current === "recording") this.current = "idle";
    this.tell(error);
  }

  /** Numbers are never used twice: not those of before a reload, nor those the server knows. */
  private freePart(): number {
    const { ledger, state } = this.tools.uploader;
    return Math.max(nextPart(state), ...[...ledger.parts.keys()].map((part) => part + 1));
  }

  private readonly largest = () =>
    Math.min(LARGEST, this.tools.uploader.state?.limits?.chunkBytes ?? LARGEST);

  private readonly flush = () => {
    for (const take of this.takes.values()) take.flush();
  };

  /** The last moment at which a chunk still reaches the journal. The person may decide to stay. */
  private readonly onLeaving = () => {
    this.leaving = true;
    setTimeout(() => (this.leaving = false), 1000);
    this.flush();
  };

  /** A phone may end a page that is not seen without a word. */
  private readonly onHidden = () => {
    if (document.hidden && !this.leaving) this.flush();
  };

  private async stopTakes(): Promise<void> {
    await Promise.all([...this.takes.values()].map((take) => take.stop()));
  }

  /** One after the other, whatever the caller awaits. */
  private next(work: () => Promise<void>): Promise<void> {
    const done = this.order.then(work);
    this.order = done.catch(() => undefined);
    return done;
  }

  private change(to: RecorderState): void {
    this.current = to;
    this.tell(null);
  }

  private tell(error: Error | null): void {
    for (const listener of this.listeners) listener({ state: this.current, error });
  }
}
