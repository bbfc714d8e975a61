/** How long somebody really watched: what was skipped does not count. Pure. */

/** Players tell the time four times a second; a larger step is a jump. */
const LONGEST_STEP = 2;

export class WatchTime {
  private last: number | null = null;
  private seconds = 0;

  /** Where the player is, in seconds. */
  note(at: number, paused: boolean): void {
    const step = this.last === null ? 0 : at - this.last;
    if (step > 0 && step <= LONGEST_STEP) this.seconds += step;
    this.last = paused ? null : at;
  }

  /** What was watched since this was asked last. */
  take(): number {
    const taken = this.seconds;
    this.seconds = 0;
    return taken;
  }
}
