/** Something to wait for that somebody else rings, or that rings by itself after a time. */
export class Bell {
  private waiting: (() => void) | null = null;
  private rung = false;

  ring(): void {
    this.rung = true;
    this.waiting?.();
  }

  /** Until the next ring, one that was rung meanwhile, or `ms` milliseconds (Infinity: for ever). */
  async wait(ms: number): Promise<void> {
    if (!this.rung) {
      await new Promise<void>((resolve) => {
        const timer = Number.isFinite(ms) ? setTimeout(resolve, ms) : undefined;
        this.waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.waiting = null;
    this.rung = false;
  }
}
