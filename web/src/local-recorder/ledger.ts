/**
 * What of a session is where: recorded, acknowledged, confirmed. Pure.
 *
 *     pending --taken--> in flight --acknowledged--> acknowledged --in the server's state--> free
 *        ^------------- failed ------'                    '---- not in the state ----> pending
 *
 * A chunk is only forgotten here, and may only be removed from the journal, once the server's own
 * account of what it has names it.
 */

import { isReceived, lastReceived } from "./ranges";
import type { ChunkKey, ChunkState, LocalPart } from "./types";

/** The first chunk of a part has the header, without which the others are of no use to anybody. */
const isHeader = (key: ChunkKey) => key.sequence === 0;

export class Ledger {
  readonly parts = new Map<number, LocalPart>();
  /** Of the last settling: acknowledged chunks that the server's state did not name. */
  bounced = 0;
  private readonly pending = new Map<string, ChunkKey>();
  private readonly flying = new Set<string>();
  private readonly acknowledged = new Map<string, ChunkKey>();
  private readonly headers = new Map<string, ChunkKey>();

  load(parts: LocalPart[], chunks: ChunkKey[]): void {
    for (const part of parts) this.parts.set(part.part, part);
    for (const key of chunks) this.pending.set(nameOf(key), key);
  }

  add(part: LocalPart, key: ChunkKey): void {
    this.parts.set(part.part, part);
    this.pending.set(nameOf(key), key);
  }

  /** The next chunk to send of the parts that `may` be sent, in order of recording. */
  take(may: (part: number) => boolean): ChunkKey | null {
    for (const [name, key] of this.pending) {
      if (this.flying.has(name) || !may(key.part)) continue;
      this.flying.add(name);
      return key;
    }
    return null;
  }

  acknowledge(key: ChunkKey): void {
    this.flying.delete(nameOf(key));
    if (this.pending.delete(nameOf(key))) this.acknowledged.set(nameOf(key), key);
  }

  failed(key: ChunkKey): void {
    this.flying.delete(nameOf(key));
  }

  /** The browser does not have it any more. */
  lose(key: ChunkKey): void {
    this.flying.delete(nameOf(key));
    this.pending.delete(nameOf(key));
  }

  /** Takes in what the server has. Returns the chunks whose local copies may go now. */
  settle(state: ChunkState): ChunkKey[] {
    const free: ChunkKey[] = [];
    this.bounced = 0;
    for (const [name, key] of [...this.acknowledged, ...this.pending]) {
      if (this.flying.has(name)) continue;
      if (!isReceived(state, key)) {
        if (this.acknowledged.delete(name)) {
          this.pending.set(name, key);
          this.bounced += 1;
        }
        continue;
      }
      this.acknowledged.delete(name);
      this.pending.delete(name);
      if (isHeader(key)) this.headers.set(name, key);
      else free.push(key);
    }
    return free;
  }

  /** Chunks that the server has, but whose local copies stay until the set is complete. */
  sendAgain(state: ChunkState): boolean {
    let some = false;
    for (const [name, key] of this.headers) {
      if (isReceived(state, key)) continue;
      this.headers.delete(name);
      this.pending.set(name, key);
      some = true;
    }
    return some;
  }

  get waiting(): number {
    return this.pending.size;
  }

  /** Something of the part is to be sent. */
  isWaiting(part: number): boolean {
    for (const key of this.pending.values()) if (key.part === part) return true;
    return false;
  }

  get unconfirmed(): number {
    return this.acknowledged.size;
  }

  /** Every chunk of this session is in the server's own account. */
  get settled(): boolean {
    return this.pending.size === 0 && this.acknowledged.size === 0;
  }

  counts(): { bytes: number; bytesSaved: number; chunks: number; chunksSaved: number } {
    const parts = [...this.parts.values()];
    const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
    const chunks = parts.reduce((sum, part) => sum + part.next, 0);
    const open = [...this.pending.values()].reduce((sum, key) => sum + key.size, 0);
    return {
      bytes,
      bytesSaved: Math.max(0, bytes - open),
      chunks,
      chunksSaved: Math.max(0, chunks - this.pending.size),
    };
  }

  /**
   * The parts that have media, each with its last sequence. A chunk that was only in memory may have
   * reached the server before its page went, and be unknown here.
   */
  ends(state: ChunkState | null): { part: number; lastSequence: number }[] {
    return [...this.parts.values()]
      .map(({ part, next }) => ({
        part,
        lastSequence: Math.max(next - 1, lastReceived(state, part)),
      }))
      .filter(({ lastSequence }) => lastSequence >= 0)
      .sort((a, b) => a.part - b.part);
  }
}

const nameOf = ({ part, sequence }: ChunkKey) => `${part}/${sequence}`;
