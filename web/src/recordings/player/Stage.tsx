import { useEffect, useRef, useState } from "react";
import type { RecordingFile } from "../../api";

import { duration } from "../../format";
import { Avatar } from "../../ui/Avatar";
import { Icon } from "../../ui/Icon";
import { useSize } from "../../ui/useSize";
import { placesOf } from "./places";
import { type Clip, hasPlace, near, type Scene, shownAt, type Tile } from "./scene";
import { supply } from "./sources";
import type { Transport } from "./transport";
import { usePosition, useWaiting } from "./useTransport";

interface StageProps {
  scene: Scene;
  transport: Transport;
  muted: boolean;
  volume: number;
  focus: string | null;
  onFocus: (key: string | null) => void;
  /** Files are fetched before they play. */
  whole: boolean;
  renew: (fileId: string) => Promise<RecordingFile | null>;
}

type Media = Pick<StageProps, "transport" | "muted" | "volume" | "whole" | "renew">;

/** Everybody's picture at the position, each in a place of its own. */
export function Stage(props: StageProps) {
  const { scene, transport, focus, onFocus, ...sound } = props;
  const at = usePosition(transport, 0.25);
  const waiting = useWaiting(transport);
  const [stage, size] = useSize();
  const present = scene.tiles.filter((tile) => hasPlace(tile, at));
  const large = present.findIndex((tile) => tile.key === focus);
  const places = placesOf(
    present.length,
    large < 0 ? null : large,
    Math.floor(size.width),
    Math.floor(size.height),
  );
  return (
    <div className="scene" ref={stage} data-count={present.length}>
      {scene.tiles.map((tile) => (
        <TileView
          key={`${scene.id} ${tile.key}`}
          tile={tile}
          at={at}
          alone={present.length === 1}
          large={tile === present[large]}
          style={places[present.indexOf(tile)] ?? { visibility: "hidden" }}
          onPick={() => onFocus(tile === present[large] ? null : tile.key)}
          transport={transport}
          {...sound}
        />
      ))}
      {waiting && (
        <span className="scene-waiting" role="status">
          <span className="spinner" />
          <span className="visually-hidden">Loading</span>
        </span>
      )}
    </div>
  );
}

interface TileViewProps extends Media {
  tile: Tile;
  at: number;
  alone: boolean;
  large: boolean;
  style: React.CSSProperties;
  onPick: () => void;
}

function TileView({ tile, at, alone, large, style, onPick, ...media }: TileViewProps) {
  const shown = shownAt(tile, at);
  const silent = shown === null || shown.file.contentType.startsWith("audio/");
  const name = tile.screen ? `${tile.person}’s screen` : tile.person;
  return (
    <div
      className="scene-tile"
      style={style}
      data-testid="scene-tile"
      data-showing={shown?.id ?? ""}
    >
      {silent && (
        <div className="scene-away">
          <Avatar name={tile.person} seed={tile.seed} />
          {shown === null && <span>{whereabouts(tile, at)}</span>}
        </div>
      )}
      {near(tile, at).map((clip) => (
        <ClipView key={clip.id} clip={clip} label={name} shown={clip === shown} {...media} />
      ))}
      {!alone && (
        <button
          type="button"
          className="scene-pick"
          onClick={onPick}
          aria-pressed={large}
          title={large ? "Show everybody alike" : `Show ${name} large`}
        >
          <span className="scene-name truncate">{name}</span>
        </button>
      )}
    </div>
  );
}

function whereabouts(tile: Tile, at: number): string {
  const next = tile.clips.find((clip) => clip.start > at);
  if (next) return `Comes at ${duration(next.start)}`;
  return tile.screen ? "Not shared any more" : "Left the call";
}

interface ClipViewProps extends Media {
  clip: Clip;
  label: string;
  shown: boolean;
}

function ClipView(props: ClipViewProps) {
  const { clip, label, shown, transport, muted, volume, whole, renew } = props;
  const video = useRef<HTMLVideoElement>(null);
  const [broken, setBroken] = useState(false);
  const { id, file } = clip;
  const latest = useRef({ file, renew, whole });
  latest.current = { file, renew, whole };

  useEffect(() => {
    const element = video.current;
    if (element === null) return;
    transport.attach(id, element);
    const withdraw = supply(element, latest.current.file, {
      whole: latest.current.whole,
      renew: () => latest.current.renew(latest.current.file.id),
      onBroken: () => {
        transport.giveUp(id);
        setBroken(true);
      },
    });
    return () => {
      transport.detach(id);
      withdraw();
    };
  }, [id, transport]);
  useEffect(() => {
    if (video.current !== null) video.current.volume = volume;
  }, [volume]);

  return (
    <>
      <video
        ref={video}
        playsInline
        preload="metadata"
        poster={file.poster ?? undefined}
        muted={muted}
        aria-label={label}
        hidden={!shown || file.contentType.startsWith("audio/")}
        data-testid="clip"
        data-file-id={file.id}
        data-broken={broken || undefined}
      />
      {broken && shown && (
        <div className="scene-away" role="alert">
          <Icon name="alert" />
          <span>This browser can’t play the file. Download it and open it in a player.</span>
        </div>
      )}
    </>
  );
}
