/** How much room this browser still has for chunks. */

export interface StorageRoom {
  /** Bytes used by this origin, and bytes it may use; null when the browser does not tell. */
  usage: number | null;
  quota: number | null;
  /** True when the browser promised not to remove what is kept. */
  persisted: boolean;
  /** Little is left: chunks may soon have to be kept in memory. */
  low: boolean;
}

const LITTLE = 200 * 1024 * 1024;

export function isLow(usage: number | null, quota: number | null): boolean {
  return usage !== null && quota !== null && quota - usage < Math.min(LITTLE, quota / 10);
}

/** Never throws: browsers that tell nothing give nulls. */
export async function storageRoom(): Promise<StorageRoom> {
  const storage = navigator.storage as StorageManager | undefined;
  try {
    const { usage = null, quota = null } = (await storage?.estimate()) ?? {};
    const persisted = (await storage?.persisted()) ?? false;
    return { usage, quota, persisted, low: isLow(usage, quota) };
  } catch {
    return { usage: null, quota: null, persisted: false, low: false };
  }
}

/** Asks that nothing is removed under storage pressure. Some browsers ask the person. */
export async function askToPersist(): Promise<boolean> {
  const storage = navigator.storage as StorageManager | undefined;
  return (await storage?.persist?.().catch(() => false)) ?? false;
}
