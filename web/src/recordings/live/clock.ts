/** Where playing is, for all videos alike. Pure: time is an argument, in milliseconds. */

export class PlayClock {
  position = 0;
  playing = true;
  private last: number | null = null;

  /**
   * Lets the time pass. It stands while `held` (something to be shown is not there yet), and goes no
   * further than `edge`.
   */
  advance(now: number, held: boolean, edge: number): void {
    const passed = this.last === null ? 0 : (now - this.last) / 1000;
    this.last = now;
    if (!this.playing || held) return;
    const next = this.position + passed;
    this.position = Math.max(this.position, Math.min(next, edge));
  }

  seek(position: number, edge: number): void {
    this.position = Math.min(Math.max(position, 0), Math.max(edge, 0));
  }
}
