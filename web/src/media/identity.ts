/**
 * Whose files these are. Files belong to people, and the sign-in link that the server prints is
 * nobody's: with it, a token for the identity `host` is asked for. Any other token says who it is.
 */

import { roomToken } from "../api";
import { claimsOf, type Session } from "../session";

export const HOST = "host";
/** The token has to name a room. Nobody is in this one, and an audience's token may do least. */
const ROOM = "media-library";

let asked: { from: string; token: Promise<string> } | null = null;

/** A token with an identity; null when nobody is signed in. Throws `ApiError`. */
export async function mediaToken(session: Session): Promise<string | null> {
  const token = session.libraryToken();
  if (token === null || claimsOf(token)?.sub) return token;
  const kept = session.mediaToken();
  if (kept !== null) return kept;
  if (asked?.from !== token) asked = { from: token, token: askFor(session, token) };
  return await asked.token.finally(() => {
    asked = null;
  });
}

async function askFor(session: Session, from: string): Promise<string> {
  const wanted = { room: ROOM, name: "Host", role: "audience", identity: HOST };
  const { token } = await roomToken(from, wanted);
  if (session.libraryToken() === from) session.keepMediaToken(token);
  return token;
}

/** The identity whose files are shown; "" when nobody is signed in. */
export function userIdOf(session: Session): string {
  const token = session.libraryToken();
  return token === null ? "" : (claimsOf(token)?.sub ?? HOST);
}
