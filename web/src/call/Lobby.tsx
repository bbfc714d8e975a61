import { type SubmitEvent, useState } from "react";
import { type Explained, explain, needsSignIn } from "../explain";
import { keepPreferences, readPreferences } from "../preferences";
import { Link } from "../router";
import type { Seat } from "../session";
import { mayManage } from "../session";
import { session } from "../state";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { DevicePicker } from "./DevicePicker";
import { LevelMeter } from "./LevelMeter";
import { PreviewTile } from "./PreviewTile";
import { RoomSettingsDialog } from "./RoomSettingsDialog";
import { holdsSeat, takeSeat } from "./takeSeat";
import { useCameraPreview, useDevices, useMicrophonePreview } from "./usePreview";

interface LobbyProps {
  room: string;
  onEnter: (seat: Seat) => void;
  onRefused: (why: Explained) => void;
}

/** The door of a room: who you are, and whether camera and microphone work. */
export function Lobby({ room, onEnter, onRefused }: LobbyProps) {
  const [choice, setChoice] = useState(readPreferences);
  const [name, setName] = useState(session.seat(room)?.name || choice.name);
  const [joining, setJoining] = useState(false);
  const [problem, setProblem] = useState<Explained | null>(null);
  const camera = useCameraPreview(choice.camera, choice.cameraId);
  const microphone = useMicrophonePreview(choice.microphone, choice.microphoneId);
  const cameras = useDevices("videoinput", camera.track !== null);
  const microphones = useDevices("audioinput", microphone.track !== null);
  const [settings, setSettings] = useState(false);
  const hosts = mayManage(session.tokenFor(room) ?? "", room);
  const nameIsFixed = holdsSeat(session, room) && session.signInToken() === null;

  const choose = (change: Partial<typeof choice>) => {
    keepPreferences(change);
    setChoice((before) => ({ ...before, ...change }));
  };
  const join = async (event: SubmitEvent) => {
    event.preventDefault();
    setJoining(true);
    setProblem(null);
    try {
      const seat = await takeSeat(session, room, name.trim());
      keepPreferences({ name: name.trim() });
      onEnter({ ...seat, microphone: choice.microphone, camera: choice.camera });
    } catch (error) {
      setJoining(false);
      setProblem(explain(error));
      if (needsSignIn(error)) {
        onRefused(explain(error));
        session.dropSeat(room);
        session.signOut();
      }
    }
  };

  return (
    <main className="lobby">
      <header className="lobby-head">
        <Link to="/" className="button quiet small">
          Home
        </Link>
        <h1 className="truncate">{room}</h1>
        <p className="lead">
          {session.invite(room)
            ? "You are invited to this call. Check how you look and sound, then join."
            : "Check how you look and sound, then join."}
        </p>
      </header>
      <PreviewTile
        track={camera.track}
        name={name}
        wanted={choice.camera}
        failed={camera.problem !== null}
        microphoneOn={choice.microphone}
        onCamera={() => choose({ camera: !choice.camera })}
        onMicrophone={() => choose({ microphone: !choice.microphone })}
      />
      <form className="card lobby-form" onSubmit={join}>
        <label className="field">
          Your name
          <input
            className="input"
            data-testid="prejoin-name"
            value={name}
            onChange={(event) => setName(event.target.value)}
            maxLength={64}
            autoComplete="name"
            placeholder="How others see you"
            required
            disabled={nameIsFixed}
          />
        </label>
        <DevicePicker
          label="Camera"
          devices={cameras}
          value={choice.cameraId}
          onChange={(cameraId) => choose({ cameraId })}
        />
        <div className="with-meter">
          <DevicePicker
            label="Microphone"
            devices={microphones}
            value={choice.microphoneId}
            onChange={(microphoneId) => choose({ microphoneId })}
          />
          <LevelMeter track={microphone.track} />
        </div>
        {camera.problem && <Notice tone="warn" what={camera.problem} />}
        {microphone.problem && <Notice tone="warn" what={microphone.problem} />}
        {problem && <Notice what={problem} />}
        <button
          type="submit"
          className="button primary"
          data-testid="join-call"
          disabled={joining}
          aria-busy={joining}
        >
          {joining ? <span className="spinner" /> : <Icon name="camera" />}
          {joining ? "Joining…" : "Join call"}
        </button>
        {hosts && (
          <button
            type="button"
            className="button quiet small"
            data-testid="room-settings"
            onClick={() => setSettings(true)}
          >
            <Icon name="settings" />
            Recording settings of this room
          </button>
        )}
      </form>
      {settings && <RoomSettingsDialog room={room} onClose={() => setSettings(false)} />}
    </main>
  );
}
