/** One viewing: asks what there is, keeps the videos together, and tells the page. No React here. */

import { ApiError } from "../../api";
import { type Explained, explain } from "../../explain";
import { PlayClock } from "./clock";
import { liveListing } from "./client";
import { Feed } from "./feed";
import {
  endOf,
  liveEdge,
  type LiveListing,
  type LiveStream,
  MARGIN,
  neededAt,
  type Seat,
  seatsOf,
  shownAt,
} from "./model";

const TICK_MS = 200;
const LIST_EVERY_MS = 1000;
const LIST_AGAIN_MS = 5000;
/** So near to the newest media playing counts as live. */
const LIVE_WITHIN = 2;

/** One seat as the page draws it. */
export interface SeatView {
  seat: Seat;
  /** The streams that need a video element now. */
  needed: LiveStream[];
  shown: LiveStream | null;
  problem: string | null;
}

export interface View {
  phase: "waiting" | "showing" | "over";
  problem: Explained | null;
  position: number;
  edge: number;
  /** How far behind the call, seconds. */
  delay: number;
  isLive: boolean;
  playing: boolean;
  /** Something that is to be shown is on its way. */
  loading: boolean;
  seats: SeatView[];
}

const NOTHING: View = {
  phase: "waiting",
  problem: null,
  position: 0,
  edge: 0,
  delay: 0,
  isLive: false,
  playing: true,
  loading: true,
  seats: [],
};

export class LiveSession {
  view: View = NOTHING;
  private readonly clock = new PlayClock();
  private readonly feeds = new Map<string, Feed>();
  private readonly listeners = new Set<() => void>();
  private abort = new AbortController();
  private listing: LiveListing | null = null;
  private listedAt = 0;
  private over = false;
  private problem: Explained | null = null;
  private timer = 0;

  constructor(
    private readonly token: string,
    private readonly recordingId: string,
    private readonly onEnded: () => void,
  ) {}

  /** Begins to ask and to play; the function ends it. */
  start(): () => void {
    this.abort = new AbortController();
    void this.keepListing();
    this.timer = window.setInterval(() => this.tick(), TICK_MS);
    return () => {
      this.abort.abort();
      window.clearInterval(this.timer);
      for (const feed of this.feeds.values()) feed.close();
      this.feeds.clear();
    };
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly snapshot = (): View => this.view;

  /** Gives a stream its video element, or takes it away. */
  attach(stream: LiveStream, video: HTMLVideoElement): () => void {
    const feed = new Feed(stream, video, this.token, this.recordingId);
    this.feeds.set(stream.streamId, feed);
    return () => {
      if (this.feeds.get(stream.streamId) === feed) this.feeds.delete(stream.streamId);
      feed.close();
    };
  }

  toggle(): void {
    this.clock.playing = !this.clock.playing;
    this.tick();
  }

  seek(position: number): void {
    this.clock.seek(position, this.edge());
    this.tick();
  }

  step(seconds: number): void {
    this.seek(this.clock.position + seconds);
  }

  goLive(): void {
    this.clock.playing = true;
    this.seek(this.edge());
  }

  private edge(): number {
    return liveEdge(this.listing?.streams ?? []);
  }

  private async keepListing(): Promise<void> {
    const { signal } = this.abort;
    while (!signal.aborted && !this.over) {
      let pause = LIST_EVERY_MS;
      try {
        const listing = await liveListing(this.token, this.recordingId, signal);
        this.listing = listing;
        this.listedAt = performance.now();
        this.problem = null;
        for (const stream of listing.streams) this.feeds.get(stream.streamId)?.update(stream);
      } catch (error) {
        if (signal.aborted) return;
        pause = this.refused(error);
      }
      await new Promise((resolve) => window.setTimeout(resolve, pause));
    }
  }

  /** What a refusal means, and how long to wait before asking again. */
  private refused(error: unknown): number {
    const status = error instanceof ApiError ? error.status : -1;
    if (status === 409) return LIST_EVERY_MS; // it has only just been started
    if (status === 410 || status === 404) {
      this.over = true;
      this.tick();
      this.onEnded();
      return 0;
    }
    this.problem = explain(error);
    return LIST_AGAIN_MS;
  }

  private tick(): void {
    const now = performance.now();
    const seats = seatsOf(this.listing?.streams ?? []);
    const held = seats.some((seat) => !this.isReady(shownAt(seat, this.clock.position)));
    this.clock.advance(now, held || seats.length === 0, this.horizon());
    const at = this.clock.position;
    const shown = new Set(seats.map((seat) => shownAt(seat, at)?.streamId));
    for (const stream of this.listing?.streams ?? []) {
      const feed = this.feeds.get(stream.streamId);
      if (feed === undefined) continue;
      const own = at - stream.startSeconds;
      const running = this.clock.playing && !held && shown.has(stream.streamId);
      feed.follow(Math.max(own, 0), running && own >= 0);
      void feed.fetch(own, now);
    }
    this.show(seats, held, now);
  }

  /** Playing on its own may come this near to the newest media, nearer than a jump to the edge. */
  private horizon(): number {
    return Math.max(...(this.listing?.streams ?? []).map(endOf), 0);
  }

  private isReady(stream: LiveStream | null): boolean {
    if (stream === null) return true;
    const feed = this.feeds.get(stream.streamId);
    return feed?.ready(this.clock.position - stream.startSeconds) ?? false;
  }

  private show(seats: Seat[], held: boolean, now: number): void {
    const { position, playing } = this.clock;
    const edge = this.edge();
    const sinceListed = this.over ? 0 : (now - this.listedAt) / 1000;
    const elapsed = (this.listing?.elapsedSeconds ?? 0) + sinceListed;
    this.view = {
      phase: this.over ? "over" : seats.length === 0 ? "waiting" : "showing",
      problem: this.problem,
      position,
      edge: Math.max(edge, position),
      delay: seats.length === 0 ? 0 : Math.max(elapsed - position, 0),
      isLive: playing && edge + MARGIN - position < MARGIN + LIVE_WITHIN,
      playing,
      loading: held || seats.length === 0,
      seats: seats.map((seat) => {
        const shown = shownAt(seat, position);
        const feed = shown === null ? undefined : this.feeds.get(shown.streamId);
        const needed = neededAt(seat, position);
        return { seat, needed, shown, problem: feed?.problem?.message ?? null };
      }),
    };
    for (const listener of this.listeners) listener();
  }
}
