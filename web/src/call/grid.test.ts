import { describe, expect, it } from "vitest";
import { bestGrid } from "./grid";

describe("bestGrid", () => {
  it("puts two side by side on a desktop and one above the other on a phone", () => {
    expect(bestGrid(2, 1280, 640, 12)).toMatchObject({ columns: 2, rows: 1 });
    expect(bestGrid(2, 360, 600, 12)).toMatchObject({ columns: 1, rows: 2 });
  });
  it.each([1, 2, 3, 4, 5, 6, 7, 9, 12, 16, 25, 49])("holds %d tiles in the box", (count) => {
    for (const [width, height] of [
      [1280, 640],
      [800, 800],
      [360, 560],
    ] as const) {
      const grid = bestGrid(count, width, height, 8);
      expect(grid.columns * grid.rows).toBeGreaterThanOrEqual(count);
      expect(grid.columns * grid.width + 8 * (grid.columns - 1)).toBeLessThanOrEqual(width);
      expect(grid.rows * grid.height + 8 * (grid.rows - 1)).toBeLessThanOrEqual(height);
      expect(grid.width / grid.height).toBeGreaterThan(0.7);
      expect(grid.width / grid.height).toBeLessThan(1.85);
    }
  });
  it("crops cameras less in a wide box than in a tall one", () => {
    expect(bestGrid(2, 1280, 640, 12).width / bestGrid(2, 1280, 640, 12).height).toBeCloseTo(4 / 3);
    expect(bestGrid(1, 360, 600, 12).width / bestGrid(1, 360, 600, 12).height).toBeCloseTo(3 / 4);
  });
  it("keeps a screen at 16:9 where that is asked for", () => {
    const grid = bestGrid(1, 360, 600, 12, 16 / 9);
    expect(grid.width / grid.height).toBeCloseTo(16 / 9, 1);
  });
  it("gives empty tiles to an empty box and one row to nobody", () => {
    expect(bestGrid(2, 0, 0, 8)).toMatchObject({ width: 0, height: 0 });
    expect(bestGrid(0, 100, 100, 8).rows).toBe(1);
  });
});
