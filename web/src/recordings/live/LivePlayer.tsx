import "./live.css";
import { type RefObject, useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { duration } from "../../format";
import { Avatar } from "../../ui/Avatar";
import { Icon } from "../../ui/Icon";
import { Notice } from "../../ui/Notice";
import { delayInWords, hasPicture, type LiveStream } from "./model";
import { LiveSession, type SeatView, type View } from "./session";

export interface LivePlayerProps {
  recordingId: string;
  /** The token that the library shows recordings with. */
  token: string;
  /** The recording is over: its finished files play from here on. Called once. */
  onEnded?: () => void;
}

const STEP = 10; // seconds

const OVER = {
  title: "The recording has ended",
  advice: "Its files are being put together. They show up here in a moment.",
};
const EARLY = {
  title: "Nothing to see yet",
  advice: "The first pictures and sounds arrive a few seconds after the recording starts.",
};

/** Plays a running recording from its beginning, some seconds behind the call. */
export function LivePlayer({ recordingId, token, onEnded }: LivePlayerProps) {
  const ended = useRef(onEnded);
  useEffect(() => {
    ended.current = onEnded;
  }, [onEnded]);
  const session = useMemo(
    () => new LiveSession(token, recordingId, () => ended.current?.()),
    [token, recordingId],
  );
  useEffect(() => session.start(), [session]);
  const view = useSyncExternalStore(session.subscribe, session.snapshot);
  const root = useRef<HTMLElement>(null);
  useKeys(root, session);

  return (
    <section
      ref={root}
      className="live-player"
      aria-label="Recording, live"
      data-testid="live-player"
      data-id={recordingId}
      data-phase={view.phase}
      data-position={view.position.toFixed(2)}
      data-delay={view.delay.toFixed(2)}
      data-loading={view.loading}
    >
      {view.problem && <Notice what={view.problem} />}
      {view.phase === "over" && <Notice tone="info" what={OVER} />}
      {view.phase === "waiting" && !view.problem && <Notice tone="info" what={EARLY} />}
      <div className="live-seats" data-count={view.seats.filter((one) => one.shown).length}>
        {view.seats.map((one) => (
          <LiveSeat key={one.seat.key} view={one} session={session} />
        ))}
      </div>
      <Controls view={view} session={session} />
    </section>
  );
}

/** One person's camera or screen; an avatar while there is only sound. */
function LiveSeat({ view, session }: { view: SeatView; session: LiveSession }) {
  const { seat, shown } = view;
  const picture = shown !== null && hasPicture(shown) && view.problem === null;
  return (
    <figure
      className={`live-seat ${seat.source}`}
      hidden={shown === null}
      data-testid="live-seat"
      data-source={seat.source}
    >
      {view.needed.map((stream) => (
        <LiveVideo
          key={stream.streamId}
          stream={stream}
          session={session}
          visible={picture && stream === shown}
          name={seat.name}
        />
      ))}
      {!picture && <Avatar name={seat.name} seed={seat.streams[0]?.participantId ?? seat.name} />}
      <figcaption className="truncate">{view.problem ?? seat.name}</figcaption>
    </figure>
  );
}

interface LiveVideoProps {
  stream: LiveStream;
  session: LiveSession;
  visible: boolean;
  name: string;
}

function LiveVideo({ stream, session, visible, name }: LiveVideoProps) {
  const video = useRef<HTMLVideoElement>(null);
  const first = useRef(stream); // a stream keeps its element, whatever is said of it later
  useEffect(() => {
    if (video.current === null) return undefined;
    return session.attach(first.current, video.current);
  }, [session]);
  return (
    <video
      ref={video}
      playsInline
      aria-label={name}
      className={visible ? undefined : "unseen"}
      data-testid="live-video"
      data-stream={stream.streamId}
      data-participant={stream.participantId}
      data-shown={visible}
    />
  );
}

function Controls({ view, session }: { view: View; session: LiveSession }) {
  const { position, edge, playing, isLive } = view;
  return (
    <div className="live-controls" role="group" aria-label="Playback">
      <button
        type="button"
        className="button icon-only"
        data-testid="live-play"
        aria-keyshortcuts="k"
        onClick={() => session.toggle()}
      >
        <Icon name={playing ? "pause" : "play"} />
        <span className="visually-hidden">{playing ? "Pause" : "Play"}</span>
      </button>
      <input
        type="range"
        min={0}
        max={Math.max(edge, 1)}
        step={1}
        value={position}
        aria-label="Position"
        aria-valuetext={`${duration(position)} of ${duration(edge)}`}
        data-testid="live-seek"
        onChange={(event) => session.seek(Number(event.target.value))}
      />
      <span className="live-time">{duration(position)}</span>
      <span className="muted live-delay" data-testid="live-delay">
        {view.loading ? "Loading…" : delayInWords(view.delay)}
      </span>
      <button
        type="button"
        className={`button small ${isLive ? "quiet" : "primary"}`}
        data-testid="go-live"
        aria-keyshortcuts="l"
        disabled={view.phase !== "showing" || isLive}
        onClick={() => session.goLive()}
      >
        <span className={`dot ${isLive ? "pulsing" : ""}`} />
        {isLive ? "Live" : "Go to live"}
      </button>
    </div>
  );
}

/** k plays and pauses, j and l go back and to live, arrows step; the slider keeps its own keys. */
function useKeys(root: RefObject<HTMLElement | null>, session: LiveSession) {
  useEffect(() => {
    const element = root.current;
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target instanceof HTMLInputElement && event.key.startsWith("Arrow")) return;
      const act = {
        k: () => session.toggle(),
        j: () => session.step(-STEP),
        l: () => session.goLive(),
        ArrowLeft: () => session.step(-STEP),
        ArrowRight: () => session.step(STEP),
      }[event.key];
      if (act === undefined) return;
      event.preventDefault();
      act();
    };
    element?.addEventListener("keydown", onKey);
    return () => element?.removeEventListener("keydown", onKey);
  }, [root, session]);
}
