/**
 * Plays several media elements on one time line, as if they were one.
 *
 * Of the elements that should be heard or seen now, the one that is furthest behind leads: the
 * position is where it is. The others keep to it, a little slower when they are a little ahead,
 * standing still when they are far ahead; seeks, which cost most where time is shortest, are for
 * those that are a second and more behind. While one waits for data all wait. Where nothing was
 * recorded, the clock runs.
 *
 * `tick(now)` does all of it and is called many times a second; `now` is in milliseconds.
 */

/** What is used of a media element. */
export interface Medium {
  currentTime: number;
  playbackRate: number;
  readonly paused: boolean;
  readonly ended: boolean;
  readonly seeking: boolean;
  readonly readyState: number;
  play(): Promise<void>;
  pause(): void;
}

interface Voice {
  /** Where the element's own beginning is on the time line; before `start` for a piece of a file. */
  origin: number;
  start: number;
  end: number;
  medium: Medium | null;
  broken: boolean;
  /** Since when all wait for it, in milliseconds; null while it is ready. */
  lateSince: number | null;
  nudged: boolean;
}

export interface TransportState {
  position: number;
  playing: boolean;
  /** Data is being waited for. */
  waiting: boolean;
}

const HAVE_METADATA = 1;
const HAVE_FUTURE_DATA = 3;
const IN_STEP = 0.015; // seconds
const OFF = 0.045;
const FAR_OFF = 0.35;
const LAG = 1; // seconds that all go back for one
const AHEAD = 5; // seconds for which one stands still rather than seek, which costs more
const PLACED = 0.05; // where a paused element may be off
const NUDGE = 0.06; // of the rate
/** Milliseconds after which the others go on without an element that gets no data. */
export const PATIENCE = 12_000;

/** The rate that brings an element back in step; null when only a seek does. `off` in seconds. */
export function correction(off: number, rate: number, nudged: boolean): number | null {
  const size = Math.abs(off);
  if (size > FAR_OFF * Math.max(1, rate)) return null;
  if (size <= (nudged ? IN_STEP : OFF)) return rate;
  return rate * (1 - Math.sign(off) * Math.min(NUDGE, size));
}

export class Transport {
  private readonly voices = new Map<string, Voice>();
  private readonly listeners = new Set<() => void>();
  private state: TransportState = { position: 0, playing: false, waiting: false };
  private rate = 1;
  private clockAt: number | null = null;

  constructor(readonly total: number) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): TransportState => this.state;

  get speed(): number {
    return this.rate;
  }

  /** Tells of a clip before its element is there: until it is, the others wait at its beginning. */
  expect(id: string, start: number, end: number, origin = start): void {
    const known = this.voices.get(id);
    if (known) Object.assign(known, { origin, start, end });
    else {
      const fresh = { medium: null, broken: false, lateSince: null, nudged: false };
      this.voices.set(id, { origin, start, end, ...fresh });
    }
  }

  /** Forgets all clips but these. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const id of this.voices.keys()) if (!ids.has(id)) this.voices.delete(id);
  }

  attach(id: string, medium: Medium): void {
    const voice = this.voices.get(id);
    if (voice) Object.assign(voice, { medium, broken: false, lateSince: null });
  }

  detach(id: string): void {
    const voice = this.voices.get(id);
    if (voice) voice.medium = null;
  }

  /** Nobody waits for it any more. */
  giveUp(id: string): void {
    const voice = this.voices.get(id);
    if (voice) voice.broken = true;
  }

  play(): void {
    const again = this.state.position >= this.total - 0.05;
    this.set({ playing: true, position: again ? 0 : this.state.position });
  }

  pause(): void {
    for (const { medium } of this.voices.values()) if (medium && !medium.paused) medium.pause();
    this.clockAt = null;
    this.set({ playing: false, waiting: false });
  }

  seek(to: number): void {
    const position = Math.min(Math.max(0, to), this.total);
    for (const voice of this.voices.values()) voice.lateSince = null;
    this.clockAt = null;
    this.set({ position });
    for (const voice of this.active()) this.place(voice, 0);
  }

  setSpeed(rate: number): void {
    this.rate = rate;
    for (const { medium } of this.voices.values()) if (medium) medium.playbackRate = rate;
    this.set({});
  }

  tick(now: number): void {
    if (!this.state.playing) return this.rest();
    const active = this.active();
    this.silence(active);
    const late = active.filter((voice) => this.isLate(voice, now));
    if (late.length > 0) return this.wait(active, late);
    const running = active.filter((voice) => voice.medium !== null && !voice.broken);
    const lead = this.leadOf(running);
    for (const voice of running) {
      if (voice.medium?.paused && !this.isAhead(voice, OFF)) this.start(voice.medium);
    }
    if (lead?.medium) this.follow(lead as Voice & { medium: Medium }, running);
    else this.runClock(now);
    this.set({ waiting: false });
    if (this.state.position >= this.total - 0.02) {
      this.pause();
      this.set({ position: this.total });
    }
  }

  private leadOf(running: Voice[]): Voice | undefined {
    const able = running.filter(
      (voice) =>
        voice.medium !== null &&
        !voice.medium.seeking &&
        voice.medium.readyState >= HAVE_FUTURE_DATA &&
        this.offOf(voice) > -LAG * Math.max(1, this.rate),
    );
    if (able.length === 0) return running[0];
    return able.reduce((last, voice) => (this.offOf(voice) < this.offOf(last) ? voice : last));
  }

  private follow(lead: Voice & { medium: Medium }, running: Voice[]): void {
    this.clockAt = null;
    const local = lead.medium.currentTime;
    if (Math.abs(lead.origin + local - this.state.position) > 2 * Math.max(1, this.rate)) {
      this.place(lead, PLACED); // it is not where it was put: the seek is still to come
      return;
    }
    lead.medium.playbackRate = this.rate;
    this.set({ position: Math.min(lead.origin + local, this.total) });
    for (const voice of running) if (voice !== lead) this.keepUp(voice);
  }

  private keepUp(voice: Voice): void {
    const medium = voice.medium;
    if (medium === null || medium.seeking || medium.paused) return;
    if (this.isAhead(voice, FAR_OFF * Math.max(1, this.rate))) return medium.pause();
    const off = this.offOf(voice);
    const rate = correction(off, this.rate, voice.nudged);
    if (rate === null) {
      medium.currentTime = Math.max(0, this.state.position - voice.origin);
      return;
    }
    voice.nudged = rate !== this.rate;
    if (Math.abs(medium.playbackRate - rate) > 0.004) medium.playbackRate = rate;
  }

  private runClock(now: number): void {
    const passed = this.clockAt === null ? 0 : ((now - this.clockAt) / 1000) * this.rate;
    this.clockAt = now;
    this.set({ position: Math.min(this.total, this.state.position + passed) });
  }

  /** All stand still where they should be; those without data are let run so that it comes. */
  private wait(active: Voice[], late: Voice[]): void {
    this.clockAt = null;
    for (const voice of active) {
      const { medium } = voice;
      if (medium === null || voice.broken) continue;
      if (late.includes(voice)) {
        if (!medium.seeking && medium.readyState >= HAVE_METADATA) this.place(voice, FAR_OFF);
        // one that seeks gets its data anyway, and would run ahead of those that wait for it
        if (medium.paused && !medium.seeking) this.start(medium);
        else if (medium.seeking && !medium.paused) medium.pause();
      } else if (!medium.paused) medium.pause();
    }
    this.set({ waiting: true });
  }

  private isLate(voice: Voice, now: number): boolean {
    if (voice.broken) return false;
    const { medium } = voice;
    const far = FAR_OFF * Math.max(1, this.rate);
    const ready =
      medium !== null &&
      !medium.seeking &&
      medium.readyState >= HAVE_FUTURE_DATA &&
      (!medium.paused || Math.abs(this.offOf(voice)) <= far || this.isAhead(voice, far));
    if (ready) voice.lateSince = null;
    else voice.lateSince ??= now;
    return voice.lateSince !== null && now - voice.lateSince < PATIENCE;
  }

  private offOf({ medium, origin }: Voice): number {
    return medium === null ? 0 : origin + medium.currentTime - this.state.position;
  }

  private isAhead(voice: Voice, by: number): boolean {
    const off = this.offOf(voice);
    return off > by && off < AHEAD;
  }

  private rest(): void {
    for (const voice of this.active()) this.place(voice, PLACED);
  }

  private place(voice: Voice, tolerance: number): void {
    const { medium } = voice;
    if (medium === null || medium.seeking || medium.readyState < HAVE_METADATA) return;
    const local = Math.max(0, this.state.position - voice.origin);
    if (Math.abs(medium.currentTime - local) > tolerance) medium.currentTime = local;
  }

  /** Who should be heard or seen now, the longest first: it leads. */
  private active(): Voice[] {
    const at = this.state.position;
    return [...this.voices.values()]
      .filter((voice) => voice.start <= at && at < voice.end && !isOver(voice, at))
      .sort((a, b) => b.end - b.start - (a.end - a.start));
  }

  private silence(active: Voice[]): void {
    for (const voice of this.voices.values()) {
      if (!active.includes(voice) && voice.medium && !voice.medium.paused) voice.medium.pause();
    }
  }

  private start(medium: Medium): void {
    medium.playbackRate = this.rate;
    medium.play().catch((error: unknown) => {
      if (error instanceof Error && error.name === "NotAllowedError") this.pause();
    });
  }

  private set(change: Partial<TransportState>): void {
    const next = { ...this.state, ...change };
    const { position, playing, waiting } = this.state;
    if (next.position === position && next.playing === playing && next.waiting === waiting) return;
    this.state = next;
    for (const listener of this.listeners) listener();
  }
}

/** The element says that it is over although the file's length says otherwise. */
function isOver({ medium, origin }: Voice, at: number): boolean {
  return medium !== null && medium.ended && at - origin > medium.currentTime - 0.3;
}
