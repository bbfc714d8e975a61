/** How long somebody really watched: what was skipped does not count. Pure. */

/** Players tell the time four times a second; a larger step is a jump. */
const LONGEST_STEP = 2;
/** Less than a second is not worth a request. */
const LEAST = 1;

export class WatchTime {
  private last: number | null = null;
  private seconds = 0;
  private told = false;

  /** Where the player is, in seconds. */
  note(at: number, paused: boolean): void {
    const step = this.last === null ? 0 : at - this.last;
    if (step > 0 && step <= LONGEST_STEP) this.seconds += step;
    this.last = paused ? null : at;
  }

  /**
   * What was watched since this was asked last; null when it is too little, which then counts with
   * the next. `continued`: something of this view was taken before.
   */
  take(): { seconds: number; continued: boolean } | null {
    if (this.seconds < LEAST) return null;
    const taken = { seconds: this.seconds, continued: this.told };
    this.seconds = 0;
    this.told = true;
    return taken;
  }
}
