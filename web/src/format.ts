/** Numbers and times as people read them. Pure. */

export function duration(seconds: number | null): string {
  if (seconds === null || !Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = String(whole % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

const UNITS = ["KB", "MB", "GB", "TB"];

export function fileSize(bytes: number | null): string {
  if (bytes === null) return "–";
  if (bytes < 1000) return `${bytes} B`;
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit]}`;
}

/** "Today, 14:05", "Yesterday, 09:10" or "12 Mar 2026, 14:05", in the reader's zone and language. */
export function moment(iso: string | null, now: Date, locale?: string): string {
  if (iso === null) return "Not started";
  const then = new Date(iso);
  if (Number.isNaN(then.getTime())) return iso;
  const time = then.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });
  const days = Math.round((midnight(now) - midnight(then)) / 86_400_000);
  if (days === 0) return `Today, ${time}`;
  if (days === 1) return `Yesterday, ${time}`;
  const date = then.toLocaleDateString(locale, { day: "numeric", month: "short", year: "numeric" });
  return `${date}, ${time}`;
}

function midnight(date: Date): number {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

/** One or two letters for a tile without a picture. */
export function initials(name: string): string {
  const words = name.split(/[\s._@-]+/).filter((word) => word !== "");
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0] ?? "?"];
  return letters
    .map((word) => [...(word ?? "")][0] ?? "")
    .join("")
    .toUpperCase();
}

/** A hue from 0 to 359 that stays the same for the same person. */
export function hue(text: string): number {
  let hash = 0;
  for (const char of text) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 360_000;
  return hash % 360;
}

export function people(count: number): string {
  return count === 1 ? "1 person" : `${count} people`;
}

const CALM = ["amber", "birch", "cedar", "coral", "delta", "ember", "fern", "harbor", "linden"];
const THINGS = ["bay", "field", "grove", "hill", "lake", "meadow", "river", "shore", "valley"];

/** A room name that is easy to say on the phone, such as "cedar-lake-4821". */
export function roomNameFrom(random: () => number): string {
  const pick = (words: string[]) => words[Math.floor(random() * words.length)];
  return `${pick(CALM)}-${pick(THINGS)}-${1000 + Math.floor(random() * 9000)}`;
}
