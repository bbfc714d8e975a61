/**
 * Brings the journal of one session to the server: announces its parts, sends what the server does
 * not have, frees what the server's state says it has, and completes the set when no more comes.
 *
 * One loop does it all. What fails ends a round of the loop, and the next begins after a wait; so
 * every round starts from what is known to be true.
 */

import { type Backoff, BACKOFF, waitMs } from "./backoff";
import { Bell } from "./bell";
import type { ChunkJournal } from "./journal";
import { Ledger } from "./ledger";
import { ChunkServer, type TokenSource } from "./server";
import type { ChunkKey, ChunkState, LocalPart, LocalSession, Progress, Waiting } from "./types";
import { ServerError, verdictOf } from "./verdict";

export interface UploaderOptions {
  token: TokenSource;
  /** Chunks on their way at once. */
  parallel?: number;
  backoff?: Backoff;
  /** Milliseconds between two looks at the server's state while nothing is to be sent. */
  lookMs?: number;
  fetch?: typeof fetch;
  random?: () => number;
  /** False while the browser knows that it has no network. */
  online?: () => boolean;
}

/** So many acknowledged chunks are looked up together in the server's state. */
const CONFIRMED_TOGETHER = 12;
const LOOK_MS = 5_000;
const TOKEN_WAIT_MS = 60_000;
const DAMAGED_AT_MOST = 5;

export class ChunkUploader {
  readonly ledger = new Ledger();
  private readonly server: ChunkServer;
  private readonly news = new Bell();
  private readonly again = new Bell();
  private readonly announced = new Set<number>();
  private readonly listeners = new Set<() => void>();
  private known: ChunkState | null = null;
  private opened = false;
  private recording = false;
  private closed = false;
  private done = false;
  private failures = 0;
  private damaged = 0;
  private lookedAt = 0;
  private waiting: Waiting | null = null;
  private running: Promise<void> | null = null;
  private fill: () => void = () => undefined;

  constructor(
    readonly session: LocalSession,
    private readonly journal: ChunkJournal,
    private readonly options: UploaderOptions,
  ) {
    this.server = new ChunkServer(session, options.token, options.fetch);
  }

  /** The server's state as last seen; null before the first answer. */
  get state(): ChunkState | null {
    return this.known;
  }

  /** Reads the journal. To be called once, before everything else. */
  async load(): Promise<void> {
    const { id } = this.session;
    this.ledger.load(await this.journal.parts(id), await this.journal.chunks(id));
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  progress(): Progress {
    const { id, recordingId, participantId, context, refused } = this.session;
    const { bytes, bytesSaved, chunks, chunksSaved } = this.ledger.counts();
    return {
      id,
      recordingId,
      participantId,
      context,
      phase: this.done ? "done" : refused ? "refused" : this.recording ? "recording" : "sending",
      waiting: this.waiting,
      bytesTotal: bytes,
      bytesSaved,
      chunksTotal: chunks,
      chunksSaved,
      chunksInMemory: this.journal.inMemory(id),
      refusal: refused,
    };
  }

  /** Works until the set is complete, refused, or `close` is called. Never rejects. */
  run(): Promise<void> {
    this.running ??= this.work();
    return this.running;
  }

  /** Stops sending; nothing local is lost. */
  async close(): Promise<void> {
    this.closed = true;
    this.news.ring();
    this.again.ring();
    await this.running;
  }

  /** True while a recorder adds chunks: then nothing is completed. */
  setRecording(on: boolean): void {
    this.recording = on;
    this.tell();
    this.news.ring();
  }

  /** No part will follow. */
  async end(): Promise<void> {
    this.recording = false;
    if (!this.session.ended) {
      this.session.ended = true;
      await this.journal.keep(this.session).catch(() => undefined); // the server will be asked then
    }
    this.tell();
    this.news.ring();
  }

  /**
   * The page goes, and nobody records here any more: says so if everything is on the server, without
   * waiting for the answer. Otherwise whoever finds the session does, or the server after a time.
   */
  lastWord(): void {
    if (this.recording || this.done || this.session.refused !== null) return;
    const ends = this.ledger.ends(this.known);
    if (!this.ledger.settled || ends.length === 0) return;
    void this.server.complete(ends, { keepalive: true }).catch(() => undefined);
  }

  /** A part has begun, or a chunk of it is in the journal. */
  added(part: LocalPart, key: ChunkKey | null): void {
    if (key === null) this.ledger.parts.set(part.part, part);
    else this.ledger.add(part, key);
    this.tell();
    this.fill();
    this.news.ring();
  }

  /** Doesn't wait any longer: the network is back, or the person asked for it. */
  retryNow(): void {
    this.failures = 0;
    this.again.ring();
  }

  /** Forgets a refusal and tries again. */
  async reconsider(): Promise<void> {
    await this.running;
    this.session.refused = null;
    await this.journal.keep(this.session).catch(() => undefined);
    this.running = null;
    this.opened = false;
    this.announced.clear();
    this.tell();
  }

  // --- the loop -----------------------------------------------------------------------------------

  private async work(): Promise<void> {
    while (!this.closed && !this.done && this.session.refused === null) {
      try {
        await this.round();
      } catch (error) {
        await this.recover(error);
      }
    }
    this.tell();
  }

  private async round(): Promise<void> {
    await this.announce();
    await this.sendSome();
    await this.confirm();
    this.failures = 0;
    if (this.closed || (await this.finish())) return;
    if (this.ledger.waiting > 0) return;
    await this.news.wait(this.recording && this.ledger.unconfirmed === 0 ? Infinity : this.lookMs);
  }

  private get lookMs(): number {
    return this.options.lookMs ?? LOOK_MS;
  }

  /** Asks what the server has, and says of each part what it is before its first chunk. */
  private async announce(): Promise<void> {
    if (!this.opened) {
      await this.take(await this.server.state());
      this.opened = true;
    }
    for (const part of [...this.ledger.parts.values()]) {
      if (this.announced.has(part.part) || !this.ledger.isWaiting(part.part)) continue;
      await this.take(await this.server.begin(part));
      this.announced.add(part.part);
    }
  }

  /** Sends what there is, a few at a time, but not more than may stay unconfirmed. */
  private sendSome(): Promise<void> {
    return new Promise((resolve, reject) => {
      const parallel = this.options.parallel ?? 3;
      let flying = 0;
      let failure: Error | null = null;
      const one = async (key: ChunkKey) => {
        try {
          await this.send(key);
        } catch (error) {
          this.ledger.failed(key);
          failure ??= error as Error;
        }
        flying -= 1;
        this.fill();
      };
      this.fill = () => {
        while (flying < parallel && failure === null && !this.closed) {
          if (this.ledger.unconfirmed + flying >= CONFIRMED_TOGETHER) break;
          const key = this.ledger.take((part) => this.announced.has(part));
          if (key === null) break;
          flying += 1;
          void one(key);
        }
        if (flying > 0) return;
        this.fill = () => undefined;
        if (failure !== null) reject(failure);
        else resolve();
      };
      this.fill();
    });
  }

  private async send(key: ChunkKey): Promise<void> {
    const bytes = await this.bytesOf(key);
    if (bytes === null) return this.ledger.lose(key); // the set can't be completed, and says why
    await this.server.put(key, bytes);
    this.damaged = 0;
    this.ledger.acknowledge(key);
    this.waitFor(null);
  }

  /** Null when the browser does not have the chunk any more. */
  private async bytesOf(key: ChunkKey): Promise<ArrayBuffer | null> {
    try {
      const bytes = await this.journal.read(this.session.id, key);
      return bytes === null ? null : await bytes.arrayBuffer();
    } catch (error) {
      if (error instanceof DOMException && error.name === "NotFoundError") return null;
      throw error;
    }
  }

  private async confirm(): Promise<void> {
    const { unconfirmed } = this.ledger;
    if (unconfirmed === 0) return;
    // while more comes, one look for several
    if (this.recording && unconfirmed < CONFIRMED_TOGETHER && this.looked()) return;
    this.lookedAt = Date.now();
    await this.take(await this.server.state());
    // acknowledged and then not there: no reason to send at full speed what is lost again
    if (this.ledger.bounced > 0)
      throw new ServerError(503, "chunk_unknown", "A chunk went missing.");
  }

  private looked(): boolean {
    return Date.now() - this.lookedAt < this.lookMs;
  }

  /** Frees what the server has. */
  private async take(state: ChunkState): Promise<void> {
    this.known = state;
    await this.journal.free(this.session.id, this.ledger.settle(state));
    this.waitFor(null);
  }

  /** Completes the set when no more comes. True when that has ended the work. */
  private async finish(): Promise<boolean> {
    if (this.recording || !this.ledger.settled) return false;
    if (!this.session.ended) {
      if (await this.goesOn()) {
        this.waitFor("recording");
        return false;
      }
      await this.end();
    }
    const ends = this.ledger.ends(this.known);
    if (ends.length > 0) await this.server.complete(ends);
    await this.forget();
    return true;
  }

  /** True when the recording still runs, and a tab may come back to add to it. */
  private async goesOn(): Promise<boolean> {
    try {
      return await this.server.isRunning();
    } catch (error) {
      if (error instanceof ServerError && verdictOf(error) === "refused") return false;
      throw error;
    }
  }

  private async forget(): Promise<void> {
    await this.journal.drop(this.session.id);
    this.done = true;
    this.waiting = null;
  }

  // --- what went wrong ----------------------------------------------------------------------------

  private async recover(error: unknown): Promise<void> {
    // the browser's storage failed: what is there may be readable later
    if (error instanceof DOMException) return this.pause("server", null);
    if (!(error instanceof ServerError)) return this.refuse(defect(error));
    switch (verdictOf(error)) {
      case "again":
        return this.pause(error.status === 0 ? "network" : "server", error.retryAfter);
      case "token":
        if (await this.renewed()) return;
        this.waitFor("token");
        return this.again.wait(TOKEN_WAIT_MS);
      case "damaged":
        this.damaged += 1;
        return this.damaged > DAMAGED_AT_MOST ? this.refuse(error) : this.pause("server", null);
      case "closed":
        return this.onClosed(error);
      case "holes":
        return this.fillHoles(error);
      case "refused":
        return this.refuse(error);
    }
  }

  private async renewed(): Promise<boolean> {
    try {
      return await this.server.renew();
    } catch {
      return false; // the application's: then there is no token now
    }
  }

  private async pause(why: Waiting, asked: number | null): Promise<void> {
    if (this.closed) return;
    this.failures += 1;
    this.waitFor(why);
    const offline = !(this.options.online?.() ?? true);
    const { random = Math.random, backoff = BACKOFF } = this.options;
    // without network the browser tells when it is back; it is not always right about it
    const wait = offline ? backoff.capMs : waitMs(this.failures, asked, random, backoff);
    await this.again.wait(wait);
  }

  /** The server has closed the set: that is the end if it has everything. */
  private async onClosed(error: ServerError): Promise<void> {
    try {
      await this.take(await this.server.state());
    } catch (second) {
      if (second instanceof ServerError && verdictOf(second) === "again") {
        return this.pause("server", second.retryAfter);
      }
    }
    if (this.ledger.settled && !this.recording) await this.forget();
    else await this.refuse(error);
  }

  private async fillHoles(error: ServerError): Promise<void> {
    const state = error.details as ChunkState | null;
    if (!state?.parts || !this.ledger.sendAgain(state)) await this.refuse(error);
  }

  private async refuse(error: ServerError): Promise<void> {
    this.session.refused = error.refusal;
    this.waiting = null;
    await this.journal.keep(this.session).catch(() => undefined);
  }

  private waitFor(why: Waiting | null): void {
    this.waiting = why;
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

/** A fault of this module's own or of the application's: said, and nothing is removed. */
const defect = (error: unknown) => new ServerError(0, "defect", String(error));
