import type { ReactNode } from "react";
import { duration } from "../../format";
import { Icon, type IconName } from "../../ui/Icon";
import type { Transport } from "./transport";
import { usePlaying, usePosition } from "./useTransport";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2];

export interface Sound {
  muted: boolean;
  volume: number;
}

interface PlayerBarProps {
  transport: Transport;
  sound: Sound;
  onSound: (sound: Sound) => void;
  full: boolean;
  onFull: () => void;
  versions: ReactNode;
}

export function PlayerBar(props: PlayerBarProps) {
  const { transport, sound, onSound, full, onFull, versions } = props;
  const playing = usePlaying(transport);
  const at = usePosition(transport, 0.25);
  const move = (by: number) => transport.seek(transport.snapshot().position + by);
  return (
    <div className="player-bar" role="group" aria-label="Playback">
      <BarButton
        testId="play-pause"
        primary
        icon={playing ? "pause" : "play"}
        label={playing ? "Pause (space)" : "Play (space)"}
        onClick={() => (playing ? transport.pause() : transport.play())}
      />
      <BarButton icon="back" label="Back 10 seconds (J)" onClick={() => move(-10)} />
      <BarButton icon="forward" label="Forward 10 seconds (L)" onClick={() => move(10)} />
      <span className="player-time" data-testid="player-time">
        {duration(at)} <span className="muted">/ {duration(transport.total)}</span>
      </span>
      <select
        className="input player-speed"
        aria-label="Speed"
        defaultValue={transport.speed}
        onChange={(event) => transport.setSpeed(Number(event.target.value))}
      >
        {SPEEDS.map((speed) => (
          <option key={speed} value={speed}>
            {speed}×
          </option>
        ))}
      </select>
      <BarButton
        icon={sound.muted ? "soundOff" : "sound"}
        label={sound.muted ? "Sound on (M)" : "Sound off (M)"}
        onClick={() => onSound({ ...sound, muted: !sound.muted })}
      />
      <input
        type="range"
        className="player-volume"
        aria-label="Volume"
        min={0}
        max={1}
        step={0.05}
        value={sound.muted ? 0 : sound.volume}
        onChange={(event) => {
          const volume = Number(event.target.value);
          onSound({ volume, muted: volume === 0 });
        }}
      />
      {versions}
      <BarButton
        icon={full ? "shrink" : "expand"}
        label={full ? "Leave full screen (F)" : "Full screen (F)"}
        onClick={onFull}
      />
    </div>
  );
}

interface BarButtonProps {
  icon: IconName;
  label: string;
  testId?: string;
  primary?: boolean;
  onClick: () => void;
}

function BarButton({ icon, label, testId, primary = false, onClick }: BarButtonProps) {
  return (
    <button
      type="button"
      className={`button icon-only ${primary ? "primary" : "quiet"}`}
      title={label}
      aria-label={label}
      data-testid={testId}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
