import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Session } from "../session";
import { mediaToken, userIdOf } from "./identity";

function box() {
  const kept = new Map<string, string>();
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  };
}

function jwt(claims: object): string {
  return `${btoa("{}")}.${btoa(JSON.stringify(claims))}.signature`;
}

const NOW = 1_000_000_000;
const SERVER = jwt({ iss: "key", exp: 2_000_000 });
const minted = (exp: number) => jwt({ sub: "host", exp });

function aSession(token?: string): Session {
  const session = new Session(box(), box(), () => NOW);
  if (token !== undefined) session.signIn(token);
  return session;
}

describe("mediaToken", () => {
  const fetch = vi.fn();
  beforeEach(() => {
    vi.stubGlobal("fetch", fetch);
    fetch.mockImplementation(
      async () => new Response(JSON.stringify({ success: true, data: { token: minted(9e6) } })),
    );
  });
  afterEach(() => {
    fetch.mockReset();
    vi.unstubAllGlobals();
  });

  it("is asked for once with the server's own token, for the identity host", async () => {
    const session = aSession(SERVER);
    const tokens = await Promise.all([mediaToken(session), mediaToken(session)]);
    expect(tokens).toEqual([minted(9e6), minted(9e6)]);
    expect(await mediaToken(session)).toBe(minted(9e6));
    expect(fetch).toHaveBeenCalledTimes(1);
    const [, { body }] = fetch.mock.calls[0] as [string, { body: string }];
    expect(JSON.parse(body)).toMatchObject({ identity: "host", role: "audience" });
    expect(userIdOf(session)).toBe("host");
  });

  it("is asked for again when it ends soon, and after signing in anew", async () => {
    const session = aSession(SERVER);
    session.keepMediaToken(minted(NOW / 1000 + 60));
    await mediaToken(session);
    expect(fetch).toHaveBeenCalledTimes(1);
    session.signIn(jwt({ iss: "other", exp: 2_000_000 }));
    await mediaToken(session);
    expect(fetch).toHaveBeenCalledTimes(2);
  });

  it("is the sign-in itself when that says who it is", async () => {
    const own = jwt({ sub: "ana", exp: 2_000_000 });
    const session = aSession(own);
    expect(await mediaToken(session)).toBe(own);
    expect(userIdOf(session)).toBe("ana");
    expect(fetch).not.toHaveBeenCalled();
  });

  it("is none for nobody", async () => {
    expect(await mediaToken(aSession())).toBeNull();
    expect(userIdOf(aSession())).toBe("");
  });

  it("is not kept when a request fails, and the next asks again", async () => {
    const session = aSession(SERVER);
    fetch.mockImplementationOnce(async () => {
      throw new TypeError("Failed to fetch");
    });
    await expect(mediaToken(session)).rejects.toMatchObject({ code: "unreachable" });
    expect(await mediaToken(session)).toBe(minted(9e6));
  });
});
