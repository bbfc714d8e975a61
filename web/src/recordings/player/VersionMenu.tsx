import { useCallback, useRef, useState } from "react";
import { Choice } from "../../ui/Check";
import { Icon } from "../../ui/Icon";
import { Panel } from "../../ui/Panel";
import type { Scene, Tile, Version } from "./scene";

interface VersionMenuProps {
  scene: Scene;
  onChoose: (key: string, version: Version) => void;
}

/** Which recording of each person is played, where there are two. */
export function VersionMenu({ scene, onChoose }: VersionMenuProps) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const close = useCallback(() => {
    setOpen(false);
    button.current?.focus();
  }, []);
  const tiles = scene.tiles.filter((tile) => tile.choice);
  if (tiles.length === 0) return null;
  return (
    <div className="versions">
      <button
        ref={button}
        type="button"
        className="button icon-only quiet"
        title="Which recording is played"
        aria-label="Which recording is played"
        aria-expanded={open}
        data-testid="versions"
        onClick={() => setOpen(!open)}
      >
        <Icon name="settings" />
      </button>
      {open && (
        <Panel title="What is played" className="versions-panel" onClose={close}>
          {tiles.map((tile) => (
            <TileChoice key={tile.key} tile={tile} onChoose={onChoose} />
          ))}
        </Panel>
      )}
    </div>
  );
}

function TileChoice({ tile, onChoose }: { tile: Tile; onChoose: VersionMenuProps["onChoose"] }) {
  const { key, person, screen, version } = tile;
  return (
    <fieldset data-testid="version-choice" data-tile={key} data-version={version}>
      <legend>{screen ? `${person}’s screen` : person}</legend>
      <div className="choices">
        <Choice
          group={`version ${key}`}
          checked={version === "own"}
          onChange={() => onChoose(key, "own")}
          name="Own recording in best quality"
          says="Made in the person’s browser; the server’s where it has nothing"
        />
        <Choice
          group={`version ${key}`}
          checked={version === "server"}
          onChange={() => onChoose(key, "server")}
          name="Server’s recording"
          says="As it came over the network"
        />
      </div>
    </fieldset>
  );
}
