import { describe, expect, it } from "vitest";
import { type Place, placesOf } from "./places";

const apart = (a: Place, b: Place) =>
  a.left + a.width <= b.left ||
  b.left + b.width <= a.left ||
  a.top + a.height <= b.top ||
  b.top + b.height <= a.top;

describe("places on the stage", () => {
  const sizes = [
    [960, 540],
    [358, 448],
    [300, 300],
  ] as const;
  const cases = sizes.flatMap(([width, height]) =>
    [1, 2, 3, 5, 9, 16].flatMap((count) =>
      [null, 0, count - 1].map((focus) => ({ width, height, count, focus })),
    ),
  );

  it.each(cases)("$count tiles in $width x $height, focus $focus", (wanted) => {
    const { width, height, count, focus } = wanted;
    const places = placesOf(count, focus, width, height);
    expect(places).toHaveLength(count);
    places.forEach((place, index) => {
      expect(place.left).toBeGreaterThanOrEqual(0);
      expect(place.top).toBeGreaterThanOrEqual(0);
      expect(place.left + place.width).toBeLessThanOrEqual(width);
      expect(place.top + place.height).toBeLessThanOrEqual(height);
      for (const other of places.slice(index + 1)) expect(apart(place, other)).toBe(true);
    });
    if (focus !== null && count > 1) {
      const area = (place: Place) => place.width * place.height;
      const large = places[focus] as Place;
      expect(Math.max(...places.map(area))).toBe(area(large));
    }
  });

  it("waits for a size", () => {
    expect(placesOf(3, null, 0, 0)).toEqual([]);
  });
});
