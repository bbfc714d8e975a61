import { ApiError, acceptInvite, type RoomToken, roomToken } from "../api";
import { isExpired, type Seat, type Session } from "../session";

/** True when this browser holds anything that may open the room. */
export function mayEnter(session: Session, room: string): boolean {
  return (
    holdsSeat(session, room) || session.invite(room) !== null || session.signInToken() !== null
  );
}

export function holdsSeat(session: Session, room: string): boolean {
  const seat = session.seat(room);
  return seat !== null && !isExpired(seat.token, Date.now());
}

/**
 * The seat to join with: the one this tab holds, else one for the invite, else one as host.
 *
 * A host gets a new token for a new name but keeps the identity, so that the tile stays the same.
 * Raises ApiError.
 */
export async function takeSeat(session: Session, room: string, name: string): Promise<Seat> {
  const seat = session.seat(room);
  const signIn = session.signInToken();
  if (seat !== null && holdsSeat(session, room) && (signIn === null || seat.name === name)) {
    return seat;
  }
  const invite = session.invite(room);
  if (invite !== null) return seatOf(await acceptInvite(invite.code, name), name);
  if (signIn === null) throw new ApiError("token_missing", "No sign-in and no invite.", 401);
  const identity = seat?.role === "host" ? seat.identity : undefined;
  return seatOf(await roomToken(signIn, { room, name, role: "host", identity }), name);
}

function seatOf(answer: RoomToken, name: string): Seat {
  const { room, token, url, identity, role } = answer;
  return {
    room,
    token,
    url: url || null,
    identity,
    name,
    role,
    joined: false,
    microphone: true,
    camera: true,
  };
}
