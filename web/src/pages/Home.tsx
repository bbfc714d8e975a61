import { type SubmitEvent, useCallback, useState } from "react";
import { type LiveRoom, liveRooms } from "../api";
import { type Explained, explain, needsSignIn } from "../explain";
import { people, roomNameFrom } from "../format";
import { roomPath } from "../route";
import { Link, navigate } from "../router";
import { textOf } from "../ui/form";
import { usePolling, useSession } from "../state";
import { Frame } from "../ui/Frame";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { SignIn } from "./SignIn";

export function Home() {
  const session = useSession();
  const [refused, setRefused] = useState<Explained | null>(null);
  const token = session.signInToken();
  const seat = session.lastSeat();
  const rejected = useCallback(
    (why: Explained) => {
      setRefused(why);
      session.signOut();
    },
    [session],
  );

  if (token === null && seat === null) return <SignIn problem={refused} />;
  return (
    <Frame page="home">
      <div className="page-head">
        <h1>{token ? "Start a call" : "Welcome back"}</h1>
        <p className="lead">
          {token
            ? "Open a room, send its invite link, and record when you are ready. Everything stays on this server."
            : "You can go back to the room you were invited to."}
        </p>
      </div>
      <div className="home">
        <div className="card start">
          {token && <StartForm />}
          {seat && (
            <div className="row">
              <Link to={roomPath(seat.room)} className={token ? "button" : "button primary"}>
                Back to {seat.room}
              </Link>
            </div>
          )}
        </div>
        {token && <LiveRooms token={token} onRejected={rejected} />}
      </div>
    </Frame>
  );
}

function StartForm() {
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const typed = textOf(event.currentTarget, "room").trim();
    navigate(roomPath(typed === "" ? roomNameFrom(Math.random) : typed));
  };
  return (
    <form onSubmit={submit}>
      <label className="field">
        Room name
        <input
          className="input"
          name="room"
          data-testid="room-name"
          maxLength={64}
          autoComplete="off"
          placeholder="For example: weekly-review"
          aria-describedby="room-hint"
        />
      </label>
      <button type="submit" className="button primary" data-testid="create-room">
        <Icon name="camera" />
        Open room
      </button>
      <p className="hint" id="room-hint">
        A room that exists is joined, any other name makes a new one. Leave it empty for a random
        name.
      </p>
    </form>
  );
}

interface LiveRoomsProps {
  token: string;
  onRejected: (why: Explained) => void;
}

function LiveRooms({ token, onRejected }: LiveRoomsProps) {
  const [rooms, setRooms] = useState<LiveRoom[] | null>(null);
  const [problem, setProblem] = useState<Explained | null>(null);
  const poll = useCallback(
    async (signal: AbortSignal) => {
      try {
        setRooms(await liveRooms(token, signal));
        setProblem(null);
      } catch (error) {
        if (signal.aborted) return;
        if (needsSignIn(error)) onRejected(explain(error));
        else setProblem(explain(error));
      }
    },
    [token, onRejected],
  );
  usePolling(poll, 4000);

  return (
    <section className="live" aria-labelledby="live-heading">
      <h2 id="live-heading">Live now</h2>
      {problem && <Notice what={problem} />}
      {rooms === null && !problem && <div className="skeleton" style={{ height: 68 }} />}
      {rooms?.length === 0 && (
        <div className="empty">
          <Icon name="people" />
          <span>Nobody is in a call at the moment.</span>
        </div>
      )}
      <ul className="live">
        {rooms?.map((room) => (
          <li key={room.name} className="card live-room" data-testid="live-room">
            <div className="who">
              <div className="name truncate">{room.name}</div>
              <div className="muted truncate">
                {people(room.participants.length)}
                {room.participants.length > 0 &&
                  ` · ${room.participants.map((one) => one.name || one.identity).join(", ")}`}
              </div>
            </div>
            {room.recordingStatus === "recording" && (
              <span className="badge danger">
                <span className="dot pulsing" />
                REC
              </span>
            )}
            <Link to={roomPath(room.name)} className="button small">
              Join
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}
