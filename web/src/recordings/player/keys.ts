/** What the keys of the player do. Pure. */

export type Command =
  | { do: "toggle" }
  | { do: "move"; by: number }
  | { do: "go"; to: number }
  | { do: "mute" }
  | { do: "full" };

export interface Key {
  key: string;
  shiftKey?: boolean;
  ctrlKey?: boolean;
  metaKey?: boolean;
  altKey?: boolean;
}

/** Where the key was pressed: some elements have a use of their own for it. */
export type At = "button" | "field" | "elsewhere";

const SEEKS = new Map(Object.entries({ ArrowLeft: -5, ArrowRight: 5, j: -10, l: 10 }));

/** `total` in seconds. Null for keys that are not the player's. */
export function commandOf(key: Key, at: At, total: number): Command | null {
  if (key.ctrlKey || key.metaKey || key.altKey || at === "field") return null;
  const name = key.key.length === 1 ? key.key.toLowerCase() : key.key;
  if (name === " ") return at === "button" ? null : { do: "toggle" };
  if (name === "k") return { do: "toggle" };
  if (name === "m") return { do: "mute" };
  if (name === "f") return { do: "full" };
  if (name === "Home") return { do: "go", to: 0 };
  if (name === "End") return { do: "go", to: total };
  if (/^[0-9]$/.test(name)) return { do: "go", to: (Number(name) / 10) * total };
  const by = SEEKS.get(name);
  return by === undefined ? null : { do: "move", by: key.shiftKey ? by * 6 : by };
}
