/** Brings one stream into one video element: fetches what is wanted next, and keeps the rest small. */

import { AppendQueue } from "./appendQueue";
import { livePiece, livePlace } from "./client";
import type { LiveStream } from "./model";
import { aheadOf, planFetch, type Range, rangeAt, rangesOf, victim } from "./ranges";

/** Seconds that are fetched ahead, and kept behind. */
const AHEAD = 20;
const BEHIND = 60;
/** When the browser has no room: seconds kept on either side. */
const TIGHT = 10;
const LOOK_AGAIN_MS = 700;
/** Video further away than this is moved there, nearer it is played faster or slower. */
const JUMP = 0.7;
const DRIFT = 0.12;
const NUDGE = 0.08;

export class Feed {
  problem: Error | null = null;
  private readonly media = new MediaSource();
  private readonly url = URL.createObjectURL(this.media);
  private readonly abort = new AbortController();
  private queue: AppendQueue | null = null;
  private buffer: SourceBuffer | null = null;
  private offset = 0;
  /** Where what is fetched next belongs; null before anything was. */
  private head: number | null = null;
  private busy = false;
  private quietUntil = 0;

  constructor(
    private stream: LiveStream,
    private readonly video: HTMLVideoElement,
    private readonly token: string,
    private readonly recordingId: string,
  ) {
    this.media.addEventListener("sourceopen", () => this.open(), { once: true });
    video.src = this.url;
  }

  /** A fresh description: a younger link, and how much is there. */
  update(stream: LiveStream): void {
    this.stream = stream;
  }

  close(): void {
    this.abort.abort();
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.url);
  }

  /** Can `at` (seconds of the stream) be shown now? At the end of the stream nothing is missing. */
  ready(at: number): boolean {
    if (this.problem !== null) return true; // it must not stop the others
    const wanted = Math.min(0.3, Math.max(0, this.stream.seconds - at - 0.1));
    return (this.stream.ended && wanted === 0) || aheadOf(this.ranges(), at) > wanted;
  }

  /** Moves the picture to `at` and lets it run or stand. */
  follow(at: number, running: boolean): void {
    const { video } = this;
    const range = rangeAt(this.ranges(), at);
    if (range === null) {
      if (!video.paused) video.pause();
      return;
    }
    const drift = at - video.currentTime;
    if (Math.abs(drift) > JUMP || (!running && Math.abs(drift) > DRIFT / 2)) {
      video.currentTime = Math.max(at, range[0]);
    }
    video.playbackRate = Math.abs(drift) > DRIFT ? 1 + Math.sign(drift) * NUDGE : 1;
    if (running && video.paused) void video.play().catch(() => undefined);
    if (!running && !video.paused) video.pause();
  }

  /** Fetches what is wanted when playing is at `at`, one piece at a time. */
  async fetch(at: number, now: number): Promise<void> {
    if (this.queue === null || this.busy || this.problem !== null) return;
    const inside = Math.min(Math.max(at, 0), Math.max(this.stream.seconds - 0.1, 0));
    const plan = planFetch(this.ranges(), inside, this.head, AHEAD);
    if (plan.next === "rest" || (plan.next === "on" && now < this.quietUntil)) return;
    this.busy = true;
    try {
      if (plan.next === "elsewhere") await this.relocate(plan.at);
      await this.append(inside, now);
      await this.tidy(inside);
    } catch (error) {
      if (!this.abort.signal.aborted) this.stumble(error, now);
    } finally {
      this.busy = false;
    }
  }

  private open(): void {
    try {
      this.buffer = this.media.addSourceBuffer(this.stream.contentType);
      this.queue = new AppendQueue(this.buffer);
    } catch {
      this.problem = new Error("Your browser does not play this person’s video format.");
    }
  }

  private ranges(): Range[] {
    return this.buffer !== null && this.media.readyState === "open"
      ? rangesOf(this.buffer.buffered)
      : [];
  }

  private async relocate(at: number): Promise<void> {
    const { signal } = this.abort;
    const place = await livePlace(this.token, this.recordingId, this.stream, at, signal);
    this.queue?.reset();
    this.offset = place.offset;
    this.head = place.seconds;
  }

  private async append(at: number, now: number): Promise<void> {
    const piece = await livePiece(this.stream, this.offset, this.abort.signal);
    if (piece === null) {
      this.quietUntil = now + LOOK_AGAIN_MS;
      return;
    }
    const size = piece.byteLength; // the browser takes the piece away
    if ((await this.queue?.append(piece)) === "full") {
      await this.makeRoom(at);
      return;
    }
    this.offset += size;
    const from = this.head ?? 0;
    this.head = rangeAt(this.ranges(), from + 0.05)?.[1] ?? from;
  }

  private async tidy(at: number): Promise<void> {
    const first = this.ranges()[0];
    if (first !== undefined && first[0] < at - 2 * BEHIND) {
      await this.queue?.remove(first[0], at - BEHIND);
    }
  }

  private async makeRoom(at: number): Promise<void> {
    const range = victim(this.ranges(), at, TIGHT, TIGHT);
    if (range !== null) await this.queue?.remove(range[0], range[1]);
  }

  /** A server that can't be reached is asked again; a stream that can't be read is given up. */
  private stumble(error: unknown, now: number): void {
    const answered = typeof error === "object" && error !== null && "status" in error;
    if (!answered) this.problem = error instanceof Error ? error : new Error(String(error));
    this.quietUntil = now + 2 * LOOK_AGAIN_MS;
  }
}
