/**
 * Who this browser is: the sign-in token of a host, seats in rooms, and invites not used yet.
 *
 * The sign-in token is kept for the whole browser, everything that belongs to one call for one tab
 * only, so that two tabs can sit in the same room as two people. Nothing here verifies a token;
 * claims are read only to say "expired" before the server has to.
 */

export interface Claims {
  sub?: string;
  name?: string;
  exp?: number;
  video?: { room?: string; roomJoin?: boolean; roomAdmin?: boolean; canPublish?: boolean };
}

/** A place in a room: the room token and how its holder last sat there. */
export interface Seat {
  room: string;
  token: string;
  url: string | null;
  identity: string;
  name: string;
  role: string;
  /** True from joining to leaving; a reload in between joins again without asking. */
  joined: boolean;
  microphone: boolean;
  camera: boolean;
  /** This browser records too, while the call is recorded. */
  localCopy?: boolean;
  /** The recording that browsers alone make, and this one does not take part in. */
  declined?: string;
}

export interface Invite {
  code: string;
  room: string;
}

export type LandingLink =
  { kind: "token"; token: string } | { kind: "invite"; invite: Invite } | { kind: "none" };

type Box = Pick<Storage, "getItem" | "setItem" | "removeItem">;

const SIGN_IN = "mediaserver.token";
const MEDIA = "mediaserver.mediaToken";
const SEAT = "mediaserver.seat.";
const LAST_ROOM = "mediaserver.lastRoom";
const INVITE = "mediaserver.invite.";
/** A token that lasts no longer than this is made anew before it is used. */
const EXPIRES_SOON_MS = 5 * 60_000;

/** What the fragment of a link carries: `#token=...` or `#invite=CODE&room=NAME`. */
export function readLink(hash: string): LandingLink {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const token = fields.get("token")?.trim();
  if (token) return { kind: "token", token };
  const code = fields.get("invite")?.trim();
  const room = fields.get("room")?.trim();
  if (code && room) return { kind: "invite", invite: { code, room } };
  return { kind: "none" };
}

/** The token in what somebody pasted: a bare token or a whole sign-in link. */
export function tokenIn(pasted: string): string | null {
  const text = pasted.trim();
  const hash = text.indexOf("#");
  if (hash >= 0) {
    const link = readLink(text.slice(hash));
    return link.kind === "token" ? tokenIn(link.token) : null;
  }
  return claimsOf(text) === null ? null : text;
}

/** The payload of a JWT, unverified; null for anything else. */
export function claimsOf(token: string): Claims | null {
  const [, payload, signature] = token.split(".");
  if (payload === undefined || signature === undefined) return null;
  try {
    const text = atob(payload.replace(/-/g, "+").replace(/_/g, "/"));
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === "object" && claims !== null ? claims : null;
  } catch {
    return null;
  }
}

export function isExpired(token: string, nowMs: number): boolean {
  const exp = claimsOf(token)?.exp;
  return typeof exp === "number" && exp * 1000 <= nowMs;
}

/** A seat made from a room token that came as a sign-in link; null when it is no room token. */
export function seatFromToken(token: string): Seat | null {
  const claims = claimsOf(token);
  const room = claims?.video?.room;
  if (!claims?.sub || !room || claims.video?.roomJoin === false) return null;
  return {
    room,
    token,
    url: null,
    identity: claims.sub,
    name: claims.name ?? "",
    role: claims.video?.roomAdmin ? "host" : "participant",
    joined: false,
    microphone: true,
    camera: true,
  };
}

/** True when the seat's holder may control the room; the server has the last word. */
export function canHost(seat: Seat): boolean {
  return seat.role === "host" || claimsOf(seat.token)?.video?.roomAdmin === true;
}

/** True when the token's holder may render, delete and set; the server has the last word. */
export function mayManage(token: string, room: string): boolean {
  const claims = claimsOf(token);
  if (claims === null) return false;
  return !claims.sub || (claims.video?.roomAdmin === true && claims.video.room === room);
}

export class Session {
  private listeners = new Set<() => void>();
  private changes = 0;

  constructor(
    private readonly browser: Box,
    private readonly tab: Box,
    private readonly now: () => number,
  ) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  version = (): number => this.changes;

  /** Takes in what a link carries and says which path to show for it; null when there was nothing. */
  land(hash: string): { path: "home" } | { path: "room"; room: string } | null {
    const link = readLink(hash);
    if (link.kind === "invite") {
      this.write(this.tab, INVITE + link.invite.room, JSON.stringify(link.invite));
      return { path: "room", room: link.invite.room };
    }
    if (link.kind === "none") return null;
    const seat = seatFromToken(link.token);
    if (seat === null) {
      this.signIn(link.token);
      return { path: "home" };
    }
    this.keepSeat(seat);
    return { path: "room", room: seat.room };
  }

  signIn(token: string): void {
    this.browser.removeItem(MEDIA);
    this.write(this.browser, SIGN_IN, token);
  }

  signOut(): void {
    this.browser.removeItem(MEDIA);
    this.write(this.browser, SIGN_IN, null);
  }

  signInToken(): string | null {
    return this.browser.getItem(SIGN_IN);
  }

  seat(room: string): Seat | null {
    return parse<Seat>(this.tab.getItem(SEAT + room));
  }

  keepSeat(seat: Seat): void {
    this.tab.setItem(LAST_ROOM, seat.room);
    this.tab.removeItem(INVITE + seat.room);
    this.write(this.tab, SEAT + seat.room, JSON.stringify(seat));
  }

  changeSeat(room: string, change: Partial<Seat>): void {
    const seat = this.seat(room);
    if (seat !== null) this.write(this.tab, SEAT + room, JSON.stringify({ ...seat, ...change }));
  }

  dropSeat(room: string): void {
    this.write(this.tab, SEAT + room, null);
  }

  /** The seat this tab took most recently, if its token still holds. */
  lastSeat(): Seat | null {
    const room = this.tab.getItem(LAST_ROOM);
    const seat = room === null ? null : this.seat(room);
    return seat === null || isExpired(seat.token, this.now()) ? null : seat;
  }

  invite(room: string): Invite | null {
    return parse<Invite>(this.tab.getItem(INVITE + room));
  }

  dropInvite(room: string): void {
    this.write(this.tab, INVITE + room, null);
  }

  /** The token for requests about one room: the seat's while it lasts, else the sign-in token. */
  tokenFor(room: string): string | null {
    const seat = this.seat(room);
    if (seat !== null && !isExpired(seat.token, this.now())) return seat.token;
    return this.signInToken() ?? seat?.token ?? null;
  }

  /** The token for the library: the host's sign-in, else the seat this tab took last. */
  libraryToken(): string | null {
    return this.signInToken() ?? this.lastSeat()?.token ?? null;
  }

  /** A token with an identity for the media library, made from the sign-in; null when it is over. */
  mediaToken(): string | null {
    const token = this.browser.getItem(MEDIA);
    return token === null || isExpired(token, this.now() + EXPIRES_SOON_MS) ? null : token;
  }

  keepMediaToken(token: string): void {
    this.browser.setItem(MEDIA, token);
  }

  private write(box: Box, key: string, value: string | null): void {
    if (value === null) box.removeItem(key);
    else box.setItem(key, value);
    this.changes += 1;
    for (const listener of this.listeners) listener();
  }
}

function parse<T>(text: string | null): T | null {
  if (text === null) return null;
  try {
    return JSON.parse(text) as T;
  } catch {
    return null;
  }
}
