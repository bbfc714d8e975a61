import "../../styles/player.css";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Recording, RecordingFile } from "../../api";
import { Notice } from "../../ui/Notice";
import { marksOf } from "../integrity";
import { protocolOfPage, supplyOf } from "./crowd";
import { type At, commandOf } from "./keys";
import { PlayerBar, type Sound } from "./PlayerBar";
import { type Choices, clipAt, PEOPLE, type Scene, scenesOf, type Version } from "./scene";
import { Stage } from "./Stage";
import { TimeLine } from "./TimeLine";
import { usePosition, useTransport } from "./useTransport";
import { VersionMenu } from "./VersionMenu";

interface RecordingPlayerProps {
  recording: Recording;
  /** The composite that was picked to be watched; null for the usual choice. */
  picked: string | null;
  onPick: (sceneId: string) => void;
  renew: (fileId: string) => Promise<RecordingFile | null>;
}

/** One player for a whole recording: a composite if there is one, else all people at once. */
export function RecordingPlayer({ recording, picked, onPick, renew }: RecordingPlayerProps) {
  const [choices, setChoices] = useState<Choices>({});
  const choose = useCallback(
    (key: string, version: Version) => setChoices((now) => ({ ...now, [key]: version })),
    [],
  );
  const scenes = useMemo(() => scenesOf(recording, choices), [recording, choices]);
  const scene = scenes.find((one) => one.id === picked) ?? scenes[0];
  if (scene === undefined) return null;
  const composite = scenes.find((one) => one.id !== PEOPLE);
  const people = scenes.some((one) => one.id === PEOPLE);
  return (
    <>
      {composite && people && (
        <div className="switch" role="group" aria-label="What to watch">
          <SwitchButton
            on={scene.id === PEOPLE}
            onClick={() => onPick(PEOPLE)}
            text="People"
            testId="watch-people"
          />
          <SwitchButton
            on={scene.id !== PEOPLE}
            onClick={() => onPick(composite.id)}
            text="Composite"
            testId="watch-composite"
          />
        </div>
      )}
      <ScenePlayer recording={recording} scene={scene} renew={renew} onChoose={choose} />
    </>
  );
}

interface SwitchButtonProps {
  on: boolean;
  text: string;
  testId: string;
  onClick: () => void;
}

function SwitchButton({ on, text, testId, onClick }: SwitchButtonProps) {
  return (
    <button type="button" aria-pressed={on} onClick={onClick} data-testid={testId}>
      {text}
    </button>
  );
}

const TOO_MANY = {
  title: "More people than this connection can play at once",
  advice:
    "Some may come late or be missing here. Make one video of everybody, or open this page over HTTPS with HTTP/2.",
};

interface ScenePlayerProps {
  recording: Recording;
  scene: Scene;
  renew: (fileId: string) => Promise<RecordingFile | null>;
  onChoose: (key: string, version: Version) => void;
}

function ScenePlayer({ recording, scene, renew, onChoose }: ScenePlayerProps) {
  const root = useRef<HTMLElement>(null);
  const transport = useTransport(scene);
  const [sound, setSound] = useState<Sound>({ muted: false, volume: 1 });
  const [full, toggleFull] = useFullScreen(root);
  const [focus, setFocus] = useFocus(scene, usePosition(transport, 0.5));
  const supply = useMemo(() => supplyOf(scene, protocolOfPage()), [scene]);
  const marks = useMemo(() => marksOf(recording, scene.total), [recording, scene.total]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (target !== document.body && !root.current?.contains(target)) return;
      const command = commandOf(event, placeOf(target), transport.total);
      if (command === null) return;
      event.preventDefault();
      const { position, playing } = transport.snapshot();
      if (command.do === "toggle") {
        if (playing) transport.pause();
        else transport.play();
      } else if (command.do === "move") transport.seek(position + command.by);
      else if (command.do === "go") transport.seek(command.to);
      else if (command.do === "mute") setSound((now) => ({ ...now, muted: !now.muted }));
      else toggleFull();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [transport, toggleFull]);

  return (
    <section
      ref={root}
      className="recording-player"
      aria-label="Player"
      data-testid="recording-player"
      data-scene={scene.id === PEOPLE ? "people" : "composite"}
    >
      {supply === "too many" && <Notice tone="info" what={TOO_MANY} />}
      <Stage
        scene={scene}
        transport={transport}
        muted={sound.muted}
        volume={sound.volume}
        focus={focus}
        onFocus={setFocus}
        whole={supply === "fetched"}
        renew={renew}
      />
      <TimeLine scene={scene} transport={transport} marks={marks} focus={focus} />
      <PlayerBar
        transport={transport}
        sound={sound}
        onSound={setSound}
        full={full}
        onFull={toggleFull}
        versions={<VersionMenu scene={scene} onChoose={onChoose} />}
      />
    </section>
  );
}

function placeOf(target: HTMLElement): At {
  if (target.matches("input, textarea, select")) return "field";
  return target.matches("button, a, summary") ? "button" : "elsewhere";
}

/** The tile shown large: the one that was picked, else a screen while it is shared. */
function useFocus(scene: Scene, at: number): [string | null, (key: string | null) => void] {
  const [picked, setPicked] = useState<{ key: string | null } | null>(null);
  const screen = scene.tiles.find((tile) => tile.screen && clipAt(tile, at) !== null);
  const key = picked === null ? (screen?.key ?? null) : picked.key;
  return [scene.tiles.length > 1 ? key : null, (next) => setPicked({ key: next })];
}

function useFullScreen(root: React.RefObject<HTMLElement | null>): [boolean, () => void] {
  const [full, setFull] = useState(false);
  useEffect(() => {
    const onChange = () => setFull(document.fullscreenElement !== null);
    document.addEventListener("fullscreenchange", onChange);
    return () => document.removeEventListener("fullscreenchange", onChange);
  }, []);
  const toggle = useRef(() => {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void root.current?.requestFullscreen?.().catch(() => undefined);
  });
  return [full, toggle.current];
}
