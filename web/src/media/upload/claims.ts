/** Which upload sessions a tab is busy with, so that another tab does not offer to go on with them. */

const PREFIX = "mediaserver.upload.";

export interface Claims {
  /** Until what it returns is called, or the tab is gone. */
  take: (sessionKey: string) => () => void;
  /** Those of every tab. */
  taken: () => Promise<Set<string>>;
}

/** Browsers have locks on pages over https and on localhost only; elsewhere tabs don't know. */
export function lockClaims(locks: LockManager | undefined): Claims {
  return {
    take(sessionKey) {
      let release = () => {};
      const released = new Promise<void>((resolve) => (release = resolve));
      void locks?.request(PREFIX + sessionKey, () => released).catch(() => undefined);
      return release;
    },
    async taken() {
      const held = (await locks?.query())?.held ?? [];
      return new Set(
        held.flatMap(({ name }) => (name?.startsWith(PREFIX) ? name.slice(PREFIX.length) : [])),
      );
    },
  };
}
