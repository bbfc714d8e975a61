/** Where the tiles of a scene stand on the stage. Pure. */

import { bestGrid } from "../../call/grid";

/** In CSS pixels from the stage's corner. */
export interface Place {
  left: number;
  top: number;
  width: number;
  height: number;
}

const GAP = 8;
const SIDE_SHARE = 0.22;
const SIDE_RATIO = 16 / 10;

/** One place for each of `count` tiles; the one at `focus` is large and the others beside it. */
export function placesOf(
  count: number,
  focus: number | null,
  width: number,
  height: number,
): Place[] {
  if (width <= 0 || height <= 0) return [];
  if (count === 1) return [{ left: 0, top: 0, width, height }];
  return focus === null ? inGrid(count, width, height) : beside(count, focus, width, height);
}

function inGrid(count: number, width: number, height: number): Place[] {
  const grid = bestGrid(count, width, height, GAP);
  const tall = grid.rows * grid.height + (grid.rows - 1) * GAP;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / grid.columns);
    const inRow = Math.min(grid.columns, count - row * grid.columns);
    const wide = inRow * grid.width + (inRow - 1) * GAP;
    return {
      left: Math.floor((width - wide) / 2) + (index % grid.columns) * (grid.width + GAP),
      top: Math.floor((height - tall) / 2) + row * (grid.height + GAP),
      width: grid.width,
      height: grid.height,
    };
  });
}

function beside(count: number, focus: number, width: number, height: number): Place[] {
  const others = count - 1;
  const wide = width > height;
  const room = wide ? height : width; // along which the others stand
  const each = (room - GAP * (others - 1)) / others;
  const across = (wide ? width : height) * SIDE_SHARE;
  // small ones keep their shape: as long as they fit, else as wide as there is room
  const length = Math.floor(Math.min(each, wide ? across / SIDE_RATIO : across * SIDE_RATIO));
  const side = Math.floor(wide ? length * SIDE_RATIO : length / SIDE_RATIO);
  const large = wide
    ? { left: 0, top: 0, width: width - side - GAP, height }
    : { left: 0, top: 0, width, height: height - side - GAP };
  const begin = Math.floor((room - others * length - GAP * (others - 1)) / 2);
  let seen = 0;
  return Array.from({ length: count }, (_, index) => {
    if (index === focus) return large;
    const along = begin + seen * (length + GAP);
    seen += 1;
    return wide
      ? { left: width - side, top: along, width: side, height: length }
      : { left: along, top: height - side, width: length, height: side };
  });
}
