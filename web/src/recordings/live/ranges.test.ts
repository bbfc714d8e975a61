import { describe, expect, it } from "vitest";
import { aheadOf, planFetch, rangeAt, victim } from "./ranges";

describe("stretches of buffered time", () => {
  const ranges = [
    [0, 10],
    [10.1, 20],
    [30, 40],
  ] as const;

  it("joins stretches whose hole is played over", () => {
    expect(rangeAt(ranges, 5)).toEqual([0, 20]);
    expect(rangeAt(ranges, 10.05)).toEqual([0, 20]);
    expect(rangeAt(ranges, 35)).toEqual([30, 40]);
  });

  it("is nowhere between and behind them", () => {
    expect(rangeAt(ranges, 25)).toBeNull();
    expect(rangeAt(ranges, 40)).toBeNull();
    expect(rangeAt([], 0)).toBeNull();
  });

  it("says how much can be played", () => {
    expect(aheadOf(ranges, 5)).toBe(15);
    expect(aheadOf(ranges, 25)).toBe(0);
  });
});

describe("what is fetched next", () => {
  it("begins at the beginning", () => {
    expect(planFetch([], 50, null, 20).next).toBe("on");
  });

  it("goes on until enough is ahead", () => {
    expect(planFetch([[0, 10]], 5, 10, 20).next).toBe("on");
    expect(planFetch([[0, 30]], 5, 30, 20).next).toBe("rest");
  });

  it("goes elsewhere when playing was moved away", () => {
    expect(planFetch([[0, 30]], 300, 30, 20)).toEqual({ next: "elsewhere", at: 300 });
    expect(planFetch([[200, 230]], 3, 230, 20)).toEqual({ next: "elsewhere", at: 3 });
  });

  it("waits at the live edge rather than going elsewhere", () => {
    expect(planFetch([[0, 30]], 30.5, 30, 20).next).toBe("on");
  });

  it("fills up an older stretch from its end", () => {
    const plan = planFetch(
      [
        [0, 10],
        [200, 230],
      ],
      5,
      230,
      20,
    );
    expect(plan.next).toBe("elsewhere");
    expect(plan.at).toBeCloseTo(10, 0);
  });
});

describe("what goes when there is no room", () => {
  it("is what lies far behind, else far ahead, else nothing", () => {
    expect(victim([[0, 100]], 60, 10, 10)).toEqual([0, 50]);
    expect(victim([[55, 100]], 60, 10, 10)).toEqual([70, 100]);
    expect(victim([[55, 65]], 60, 10, 10)).toBeNull();
    expect(victim([], 60, 10, 10)).toBeNull();
  });
});
