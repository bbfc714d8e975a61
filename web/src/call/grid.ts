/** How to lay out equal tiles in a box. Pure. */

export interface Grid {
  columns: number;
  rows: number;
  /** Size of one tile in CSS pixels. */
  width: number;
  height: number;
}

const WIDEST = 16 / 9;
/** Cameras are cropped no further than this in a wide box, and in a tall one (a phone). */
const TALLEST_WIDE = 4 / 3;
const TALLEST_TALL = 3 / 4;

/**
 * The arrangement of `count` tiles that shows the most picture in `width` x `height` pixels.
 *
 * A tile takes the shape of its cell between `tallest` and 16:9.
 */
export function bestGrid(
  count: number,
  width: number,
  height: number,
  gap: number,
  tallest = width > height ? TALLEST_WIDE : TALLEST_TALL,
): Grid {
  let best: Grid = { columns: 1, rows: Math.max(1, count), width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const cellWidth = (width - gap * (columns - 1)) / columns;
    const cellHeight = (height - gap * (rows - 1)) / rows;
    if (cellWidth <= 0 || cellHeight <= 0) continue;
    const ratio = Math.min(WIDEST, Math.max(tallest, cellWidth / cellHeight));
    const tileWidth = Math.min(cellWidth, cellHeight * ratio);
    const tileHeight = tileWidth / ratio;
    if (tileWidth * tileHeight > best.width * best.height) {
      best = { columns, rows, width: Math.floor(tileWidth), height: Math.floor(tileHeight) };
    }
  }
  return best;
}
