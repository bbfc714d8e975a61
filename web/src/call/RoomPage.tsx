import "../styles/tiles.css";
import "../styles/lobby.css";
import "../styles/call.css";
import "../styles/controls.css";
import "../styles/panels.css";
import "../styles/copies.css";
import { useState } from "react";
import type { Explained } from "../explain";
import { SignIn } from "../pages/SignIn";
import type { Seat } from "../session";
import { useSession } from "../state";
import { Call } from "./Call";
import { Ended } from "./Ended";
import { Lobby } from "./Lobby";
import { holdsSeat, mayEnter } from "./takeSeat";

type Place = { at: "lobby" } | { at: "call"; seat: Seat } | { at: "ended"; why: Explained | null };

/** A room from its door on: device check, call, and the page after it. */
export default function RoomPage({ room }: { room: string }) {
  const session = useSession();
  const [refused, setRefused] = useState<Explained | null>(null);
  const [place, setPlace] = useState<Place>(() => {
    const seat = session.seat(room);
    return seat?.joined && holdsSeat(session, room) ? { at: "call", seat } : { at: "lobby" };
  });

  if (place.at === "call") {
    const end = (why: Explained | null) => {
      session.changeSeat(room, { joined: false });
      setPlace({ at: "ended", why });
    };
    return <Call key={place.seat.token} seat={place.seat} onEnd={end} />;
  }
  if (place.at === "ended") {
    return <Ended room={room} why={place.why} onRejoin={() => setPlace({ at: "lobby" })} />;
  }
  if (!mayEnter(session, room)) {
    return (
      <SignIn
        problem={refused}
        title={`“${room}” is by invitation`}
        lead="Open the invite link that the host sent you. If you are the host, sign in with the link that the server printed."
      />
    );
  }
  const enter = (seat: Seat) => {
    const sitting = { ...seat, joined: true };
    session.keepSeat(sitting);
    setPlace({ at: "call", seat: sitting });
  };
  return <Lobby room={room} onEnter={enter} onRefused={setRefused} />;
}
