/**
 * Uploads that a reload interrupted. The file itself can't be kept: it is chosen again, and known
 * by its name, size and time of change.
 */

import type { Session } from "./ports";

/** What a file is known by. */
export type FileMarks = Pick<File, "name" | "size" | "lastModified">;

export interface Remembered extends FileMarks {
  /** Whose it is: the next person to sign in here sees none of it. */
  userId: string;
  session: Session;
  /** When it was last known to move, in milliseconds since 1970. */
  at: number;
}

type Box = Pick<Storage, "getItem" | "setItem">;

const KEY = "mediaserver.uploads";
/** Longer than any server keeps a session that nothing comes to. */
const LONGEST_MS = 7 * 86_400_000;

export class UploadMemory {
  constructor(
    private readonly box: Box,
    private readonly userId: () => string,
    private readonly now: () => number,
  ) {}

  /** This person's, oldest first. */
  all(): Remembered[] {
    return this.read().filter((one) => one.userId === this.userId());
  }

  keep(file: File, session: Session): void {
    const { name, size, lastModified } = file;
    const rest = this.read().filter((one) => one.session.sessionKey !== session.sessionKey);
    const userId = this.userId();
    this.write([...rest, { userId, name, size, lastModified, session, at: this.now() }]);
  }

  drop(sessionKey: string): void {
    this.write(this.read().filter((one) => one.session.sessionKey !== sessionKey));
  }

  private read(): Remembered[] {
    let found: unknown;
    try {
      found = JSON.parse(this.box.getItem(KEY) ?? "[]");
    } catch {
      return [];
    }
    const young = this.now() - LONGEST_MS;
    return Array.isArray(found) ? found.filter(isRemembered).filter((one) => one.at > young) : [];
  }

  private write(all: Remembered[]): void {
    try {
      this.box.setItem(KEY, JSON.stringify(all));
    } catch {
      // full, or forbidden: the upload goes on, a reload starts it over
    }
  }
}

export function isSameFile(file: FileMarks, one: FileMarks): boolean {
  return file.name === one.name && file.size === one.size && file.lastModified === one.lastModified;
}

function isRemembered(value: unknown): value is Remembered {
  if (typeof value !== "object" || value === null) return false;
  const { userId, name, session, at } = value as Partial<Remembered>;
  return (
    typeof userId === "string" &&
    typeof name === "string" &&
    typeof at === "number" &&
    typeof session === "object" &&
    typeof session.sessionKey === "string"
  );
}
