/** Paths of the application and what they mean. Pure; `router.tsx` binds it to the browser. */

export type Route =
  { page: "home" } | { page: "room"; room: string } | { page: "recordings" } | { page: "missing" };

export function parsePath(path: string): Route {
  const parts = path.split("/").filter((part) => part !== "");
  const [first, second] = parts;
  if (first === undefined) return { page: "home" };
  if (first === "recordings" && parts.length === 1) return { page: "recordings" };
  if (first === "room" && second !== undefined && parts.length === 2) {
    try {
      return { page: "room", room: decodeURIComponent(second) };
    } catch {
      return { page: "missing" };
    }
  }
  return { page: "missing" };
}

export function roomPath(room: string): string {
  return `/room/${encodeURIComponent(room)}`;
}
