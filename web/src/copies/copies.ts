/** The recordings that this browser makes itself: one for the whole page, whichever view is open. */

import { type LocalSession, LocalRecordings } from "../local-recorder";
import { isExpired } from "../session";
import { session } from "../state";

/** What is kept with a local recording, so that a later visit can go on with it. */
export interface CopyContext {
  room: string;
  /** The room token it was begun with; the seat's own is gone with its tab. */
  token: string;
}

export const contextOf = (context: unknown): CopyContext => context as CopyContext;

export const copies = new LocalRecordings({ token: tokenOf });

/** A token that may send for the participant: the seat's, the one it began with, the host's. */
function tokenOf(local: LocalSession, refused: string | null): string | null {
  const { room, token } = contextOf(local.context);
  const seat = session.seat(room);
  const ways = [
    seat?.identity === local.participantId ? seat.token : null,
    token,
    session.signInToken(),
  ];
  const fit = (one: string | null) =>
    one !== null && one !== refused && !isExpired(one, Date.now());
  return ways.find(fit) ?? null;
}

// closing the page stops a recorder, and keeps what is not sent until the next visit
window.addEventListener("beforeunload", (event) => {
  if (copies.unsafe) event.preventDefault();
});

void copies.resumeAll();
