/**
 * What was recorded and is not known to be on the server, in IndexedDB.
 *
 * A chunk is one record, and its key says all about it, so that the list of chunks is read without
 * their bytes. What the browser can't write (no storage, quota reached) is kept in memory, where it
 * is as good until the page goes.
 *
 * A write is asked for, with its commit, before the call returns: a page that is just going can
 * still hand over its last chunk, which is why chunks are kept as blobs and not read first.
 */

import type { ChunkKey, LocalPart, LocalSession } from "./types";

const SESSIONS = "sessions";
const PARTS = "parts";
const CHUNKS = "chunks";
const VERSION = 1;

type Key = [session: string, part: number, sequence: number, size: number];

export class ChunkJournal {
  private opened: Promise<IDBDatabase> | null = null;
  /** The database, once it is open. */
  private connection: IDBDatabase | null = null;
  private readonly memory = new Map<string, Map<string, Blob>>();

  constructor(private readonly name = "local-recorder") {}

  /** All sessions, oldest first. Rejects with a DOMException when there is no storage. */
  async sessions(): Promise<LocalSession[]> {
    const database = await this.database();
    const store = database.transaction(SESSIONS).objectStore(SESSIONS);
    const found = await answer<LocalSession[]>(store.getAll());
    return found.sort((a, b) => a.createdAt - b.createdAt);
  }

  async session(id: string): Promise<LocalSession | null> {
    const database = await this.database();
    const store = database.transaction(SESSIONS).objectStore(SESSIONS);
    return (await answer<LocalSession | undefined>(store.get(id))) ?? null;
  }

  async keep(session: LocalSession): Promise<void> {
    await this.write([SESSIONS], (of) => of(SESSIONS).put(session));
  }

  async parts(sessionId: string): Promise<LocalPart[]> {
    const database = await this.database();
    const store = database.transaction(PARTS).objectStore(PARTS);
    return answer<LocalPart[]>(store.getAll(within(sessionId)));
  }

  async keepPart(part: LocalPart): Promise<void> {
    await this.write([PARTS], (of) => of(PARTS).put(part));
  }

  /** The chunks that are here, in order, without their bytes. */
  async chunks(sessionId: string): Promise<ChunkKey[]> {
    const database = await this.database();
    const store = database.transaction(CHUNKS).objectStore(CHUNKS);
    const keys = await answer<Key[]>(store.getAllKeys(within(sessionId)));
    const found = keys.map(([, part, sequence, size]) => ({ part, sequence, size }));
    for (const name of this.memory.get(sessionId)?.keys() ?? []) found.push(parse(name));
    return found.sort((a, b) => a.part - b.part || a.sequence - b.sequence);
  }

  /**
   * Keeps the next chunk of a part, whose record it belongs to in one transaction. `part` is what it
   * is after the chunk. Says "memory" when the browser could not write it.
   */
  async append(part: LocalPart, key: ChunkKey, bytes: Blob): Promise<"disk" | "memory"> {
    try {
      await this.write([PARTS, CHUNKS], (of) => {
        of(CHUNKS).put(bytes, keyOf(part.session, key));
        of(PARTS).put(part);
      });
      return "disk";
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      const kept = this.memory.get(part.session) ?? new Map<string, Blob>();
      this.memory.set(part.session, kept.set(nameOf(key), bytes));
      return "memory";
    }
  }

  /** A chunk's bytes, not read yet; null when there is no such chunk. */
  async read(sessionId: string, key: ChunkKey): Promise<Blob | null> {
    const kept = this.memory.get(sessionId)?.get(nameOf(key));
    if (kept !== undefined) return kept;
    const database = await this.database();
    const store = database.transaction(CHUNKS).objectStore(CHUNKS);
    const found = store.get(keyOf(sessionId, key));
    return (await answer<Blob | undefined>(found)) ?? null;
  }

  inMemory(sessionId: string): number {
    return this.memory.get(sessionId)?.size ?? 0;
  }

  /** Removes chunks. Only for those that the server's state says it has. */
  async free(sessionId: string, keys: readonly ChunkKey[]): Promise<void> {
    if (keys.length === 0) return;
    const kept = this.memory.get(sessionId);
    const onDisk = keys.filter((key) => !kept?.delete(nameOf(key)));
    if (onDisk.length === 0) return;
    await this.write([CHUNKS], (of) => {
      for (const key of onDisk) of(CHUNKS).delete(keyOf(sessionId, key));
    });
  }

  /** Removes a session and everything of it. */
  async drop(sessionId: string): Promise<void> {
    this.memory.delete(sessionId);
    await this.write([SESSIONS, PARTS, CHUNKS], (of) => {
      of(CHUNKS).delete(within(sessionId));
      of(PARTS).delete(within(sessionId));
      of(SESSIONS).delete(sessionId);
    });
  }

  async close(): Promise<void> {
    const opened = this.opened;
    this.opened = null;
    this.connection = null;
    (await opened?.catch(() => null))?.close();
  }

  /** On the medium when it resolves, as far as the browser can see to that. */
  private async write(
    names: string[],
    change: (of: (name: string) => IDBObjectStore) => void,
  ): Promise<void> {
    const database = this.connection ?? (await this.database());
    const transaction = database.transaction(names, "readwrite", { durability: "strict" });
    change((name) => transaction.objectStore(name));
    transaction.commit();
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(problemOf(transaction.error));
    });
  }

  private database(): Promise<IDBDatabase> {
    this.opened ??= this.open().catch((error: unknown) => {
      this.opened = null;
      throw error;
    });
    return this.opened;
  }

  private async open(): Promise<IDBDatabase> {
    const request = indexedDB.open(this.name, VERSION);
    request.onupgradeneeded = () => {
      const database = request.result;
      database.createObjectStore(SESSIONS, { keyPath: "id" });
      database.createObjectStore(PARTS, { keyPath: ["session", "part"] });
      database.createObjectStore(CHUNKS);
    };
    const database = await answer<IDBDatabase>(request);
    // the person cleared the site's data, or another tab has a newer version of this module
    database.onclose = () => (this.opened = this.connection = null);
    database.onversionchange = () => void this.close();
    this.connection = database;
    return database;
  }
}

const keyOf = (sessionId: string, { part, sequence, size }: ChunkKey): Key => [
  sessionId,
  part,
  sequence,
  size,
];

/** All keys that begin with the session's id. */
const within = (sessionId: string) => IDBKeyRange.bound([sessionId], [sessionId, []]);

const nameOf = ({ part, sequence, size }: ChunkKey) => `${part}/${sequence}/${size}`;

function parse(name: string): ChunkKey {
  const [part = 0, sequence = 0, size = 0] = name.split("/").map(Number);
  return { part, sequence, size };
}

function answer<T>(request: IDBRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result as T);
    request.onerror = () => reject(problemOf(request.error));
  });
}

const problemOf = (error: DOMException | null) =>
  error ?? new DOMException("the browser gave up a write to its storage", "AbortError");
