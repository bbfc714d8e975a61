import { beforeEach, describe, expect, it } from "vitest";
import {
  claimsOf,
  isExpired,
  mayManage,
  readLink,
  type Seat,
  Session,
  seatFromToken,
  tokenIn,
} from "./session";

class Box {
  private items = new Map<string, string>();
  getItem = (key: string) => this.items.get(key) ?? null;
  setItem = (key: string, value: string) => void this.items.set(key, value);
  removeItem = (key: string) => void this.items.delete(key);
}

function jwt(claims: object): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  return `${encode({ alg: "HS256" })}.${encode(claims)}.c2ln`;
}

const NOW = 1_800_000_000_000;
const SERVER = jwt({ iss: "key", exp: NOW / 1000 + 60 });
const HOST = jwt({
  iss: "key",
  sub: "ana",
  name: "Ana Ünal",
  exp: NOW / 1000 + 60,
  video: { room: "team", roomJoin: true, roomAdmin: true },
});

function seat(change: Partial<Seat> = {}): Seat {
  return { ...(seatFromToken(HOST) as Seat), ...change };
}

it("lets servers and the room's hosts manage", () => {
  const member = jwt({ sub: "ben", video: { room: "team", roomJoin: true } });
  expect([SERVER, HOST, member, "no token"].map((token) => mayManage(token, "team"))).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(mayManage(HOST, "another")).toBe(false);
});

describe("links", () => {
  it("reads a sign-in link", () => {
    expect(readLink("#token=abc")).toEqual({ kind: "token", token: "abc" });
  });
  it("reads an invite with an encoded room name", () => {
    expect(readLink("#invite=c0de&room=Team%20A%26B")).toEqual({
      kind: "invite",
      invite: { code: "c0de", room: "Team A&B" },
    });
  });
  it.each(["", "#", "#token=", "#invite=c0de", "#room=team", "#other=1"])("ignores %j", (hash) => {
    expect(readLink(hash)).toEqual({ kind: "none" });
  });
  it("finds the token in a pasted link or a pasted token", () => {
    expect(tokenIn(`  ${SERVER}\n`)).toBe(SERVER);
    expect(tokenIn(`http://localhost:7880/#token=${SERVER}`)).toBe(SERVER);
    expect(tokenIn("http://localhost:7880/")).toBeNull();
    expect(tokenIn("http://localhost:7880/#invite=a&room=b")).toBeNull();
    expect(tokenIn("hello")).toBeNull();
  });
});

describe("claims", () => {
  it("decodes UTF-8 names", () => {
    expect(claimsOf(HOST)?.name).toBe("Ana Ünal");
  });
  it.each(["", "a.b", "a.%%%.c", `a.${Buffer.from("1").toString("base64url")}.c`])(
    "refuses %j",
    (token) => {
      expect(claimsOf(token)).toBeNull();
    },
  );
  it("knows an expired token, to the second", () => {
    expect(isExpired(SERVER, NOW)).toBe(false);
    expect(isExpired(SERVER, NOW + 60_000)).toBe(true);
    expect(isExpired(jwt({}), NOW)).toBe(false);
  });
  it("makes a seat of a room token only", () => {
    expect(seatFromToken(HOST)).toMatchObject({ room: "team", identity: "ana", role: "host" });
    expect(seatFromToken(SERVER)).toBeNull();
    expect(seatFromToken(jwt({ sub: "a", video: { room: "r", roomJoin: false } }))).toBeNull();
    expect(seatFromToken(jwt({ sub: "a", video: { room: "r", roomJoin: true } }))?.role).toBe(
      "participant",
    );
  });
});

describe("Session", () => {
  let now = NOW;
  let session: Session;
  beforeEach(() => {
    now = NOW;
    session = new Session(new Box(), new Box(), () => now);
  });

  it("signs in from a server link and tells listeners", () => {
    let told = 0;
    const stop = session.subscribe(() => {
      told += 1;
    });
    expect(session.land(`#token=${SERVER}`)).toEqual({ path: "home" });
    expect(session.signInToken()).toBe(SERVER);
    expect(told).toBe(1);
    stop();
    session.signOut();
    expect(session.signInToken()).toBeNull();
    expect(told).toBe(1);
    expect(session.version()).toBe(2);
  });

  it("goes straight to the room of a room token", () => {
    expect(session.land(`#token=${HOST}`)).toEqual({ path: "room", room: "team" });
    expect(session.signInToken()).toBeNull();
    expect(session.seat("team")?.token).toBe(HOST);
  });

  it("keeps an invite until the seat is taken", () => {
    expect(session.land("#invite=c0de&room=team")).toEqual({ path: "room", room: "team" });
    expect(session.invite("team")).toEqual({ code: "c0de", room: "team" });
    session.keepSeat(seat());
    expect(session.invite("team")).toBeNull();
  });

  it("drops an invite that was refused", () => {
    session.land("#invite=c0de&room=team");
    session.dropInvite("team");
    expect(session.invite("team")).toBeNull();
  });

  it("does nothing without a link", () => {
    expect(session.land("")).toBeNull();
    expect(session.version()).toBe(0);
  });

  it("remembers how somebody sat", () => {
    session.keepSeat(seat());
    session.changeSeat("team", { joined: true, camera: false });
    expect(session.seat("team")).toMatchObject({ joined: true, camera: false, microphone: true });
    session.changeSeat("nowhere", { joined: true });
    expect(session.seat("nowhere")).toBeNull();
    session.dropSeat("team");
    expect(session.seat("team")).toBeNull();
    expect(session.lastSeat()).toBeNull();
  });

  it("prefers the seat for its room until it expires", () => {
    session.signIn(SERVER);
    session.keepSeat(seat());
    expect(session.tokenFor("team")).toBe(HOST);
    expect(session.tokenFor("other")).toBe(SERVER);
    now += 60_000;
    expect(session.tokenFor("team")).toBe(SERVER);
    session.signOut();
    expect(session.tokenFor("team")).toBe(HOST);
    expect(session.tokenFor("other")).toBeNull();
  });

  it("opens the library with the sign-in, else with the last seat", () => {
    expect(session.libraryToken()).toBeNull();
    session.keepSeat(seat());
    expect(session.libraryToken()).toBe(HOST);
    session.signIn(SERVER);
    expect(session.libraryToken()).toBe(SERVER);
    session.signOut();
    now += 60_000;
    expect(session.libraryToken()).toBeNull();
  });

  it("survives a damaged store", () => {
    const tab = new Box();
    tab.setItem("mediaserver.seat.team", "{oops");
    expect(new Session(new Box(), tab, () => now).seat("team")).toBeNull();
  });
});
