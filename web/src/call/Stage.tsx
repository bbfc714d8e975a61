import { type TrackReferenceOrPlaceholder, useTracks } from "@livekit/components-react";
import { Track } from "livekit-client";
import type { CSSProperties } from "react";
import { bestGrid } from "./grid";
import { useSize } from "../ui/useSize";
import { isScreen } from "./hooks";
import { Tile } from "./Tile";

const SOURCES = [
  { source: Track.Source.Camera, withPlaceholder: true },
  { source: Track.Source.ScreenShare, withPlaceholder: false },
];
const GAP = 10;
const SCREEN_SHAPE = 16 / 9;

/** Everybody in equal tiles; a shared screen takes the room and people move to its side. */
export function Stage() {
  const tracks = useTracks(SOURCES, { onlySubscribed: false });
  const screens = tracks.filter((ref) => isScreen(ref.source));
  const cameras = tracks.filter((ref) => !isScreen(ref.source));
  if (screens.length > 0) {
    return (
      <section className="stage focused" aria-label="Shared screen and people">
        <TileGrid tracks={screens} className="focus-area" tallest={SCREEN_SHAPE} />
        <div className="strip">
          {cameras.map((ref) => (
            <Tile key={keyOf(ref)} trackRef={ref} />
          ))}
        </div>
      </section>
    );
  }
  return (
    <section className="stage" aria-label="People">
      <TileGrid tracks={cameras} className="grid-area" />
    </section>
  );
}

interface TileGridProps {
  tracks: TrackReferenceOrPlaceholder[];
  className: string;
  tallest?: number;
}

function TileGrid({ tracks, className, tallest }: TileGridProps) {
  const [measure, size] = useSize();
  const grid = bestGrid(tracks.length, size.width, size.height, GAP, tallest);
  const style = {
    "--tile-width": `${grid.width}px`,
    "--tile-height": `${grid.height}px`,
    "--row-width": `${grid.columns * (grid.width + GAP)}px`,
    "--gap": `${GAP}px`,
  } as CSSProperties;
  return (
    <div ref={measure} className={className} style={style}>
      <div className="tiles">
        {tracks.map((ref) => (
          <Tile key={keyOf(ref)} trackRef={ref} />
        ))}
      </div>
    </div>
  );
}

function keyOf(ref: TrackReferenceOrPlaceholder): string {
  return `${ref.participant.identity}/${ref.source}`;
}
