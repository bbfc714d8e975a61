/** Paths of the application and what they mean. Pure; `router.tsx` binds it to the browser. */

export type Route =
  | { page: "home" }
  | { page: "room"; room: string }
  | { page: "recordings" }
  | { page: "recording"; id: string }
  | { page: "upload" }
  | { page: "library" }
  | { page: "media"; id: string }
  | { page: "missing" };

export function parsePath(path: string): Route {
  const parts = path.split("/").filter((part) => part !== "");
  const [first, second] = parts;
  if (first === undefined) return { page: "home" };
  if (first === "recordings" && parts.length === 1) return { page: "recordings" };
  if (first === "upload" && parts.length === 1) return { page: "upload" };
  if (first === "media" && parts.length === 1) return { page: "library" };
  const name = second === undefined || parts.length !== 2 ? null : decoded(second);
  if (first === "room" && name !== null) return { page: "room", room: name };
  if (first === "recordings" && name !== null) return { page: "recording", id: name };
  if (first === "media" && name !== null) return { page: "media", id: name };
  return { page: "missing" };
}

function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

export function recordingPath(id: string): string {
  return `/recordings/${encodeURIComponent(id)}`;
}

export function mediaPath(id: string): string {
  return `/media/${encodeURIComponent(id)}`;
}

export function roomPath(room: string): string {
  return `/room/${encodeURIComponent(room)}`;
}
