/** One tab at a time works on a session (Web Locks). */

export interface Held {
  release: () => void;
}

/** What is used of `navigator.locks`. */
export type Locks = Pick<LockManager, "request">;

export interface Wanted {
  /** Milliseconds to wait for another holder: a page that is just going. */
  patience?: number;
  /** Takes it from its holder. */
  steal?: boolean;
  /** It was taken away. */
  onLost?: () => void;
}

/** Null when another tab holds it. Without Web Locks every tab gets it. */
export function hold(locks: Locks | undefined, name: string, wanted: Wanted): Promise<Held | null> {
  if (locks === undefined) return Promise.resolve({ release: () => undefined });
  const { patience = 0, steal = false, onLost } = wanted;
  return new Promise((resolve) => {
    const options: LockOptions = steal
      ? { steal: true }
      : patience > 0
        ? { signal: AbortSignal.timeout(patience) }
        : { ifAvailable: true };
    let held = false;
    locks
      .request(`local-recorder/${name}`, options, (lock) => {
        if (lock === null) return resolve(null);
        held = true;
        return new Promise<void>((release) => resolve({ release }));
      })
      .catch(() => (held ? onLost?.() : resolve(null)));
  });
}
