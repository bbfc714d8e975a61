import { describe, expect, it } from "vitest";
import type { TrackIntegrity } from "../api";
import { marksOf, reportOf } from "./integrity";
import { aFile, aRecording } from "./made";

const aTrack = (change: Partial<TrackIntegrity> = {}): TrackIntegrity => ({
  trackId: "TR_1",
  participantId: "ana-3f9c1d2e4a5b",
  kind: "video",
  packetsReceived: 9990,
  packetsLost: 0,
  packetsRecovered: 0,
  gaps: [],
  undecodable: [],
  resolutions: [],
  ...change,
});

const withTracks = (tracks: TrackIntegrity[], complete = false) =>
  aRecording({ integrity: { tracks, complete, audioVideoOffsetMs: 11.6 } });

describe("report", () => {
  it("says in one line that nothing is missing", () => {
    const report = reportOf(withTracks([aTrack()], true));
    expect(report).toMatchObject({ whole: true, headline: "Complete" });
    expect(report?.offset).toBe("At most 12 ms apart");
    expect(report?.tracks[0]).toMatchObject({
      person: "Ana",
      kind: "picture",
      packets: "9,990 packets received, none lost",
      sizes: null,
      flaws: [],
    });
  });

  it("says what was lost, repaired, and how sizes changed", () => {
    const track = aTrack({
      packetsLost: 10,
      packetsRecovered: 1200,
      source: "screen",
      gaps: [
        { startSeconds: 61, durationSeconds: 2.55, reason: "lost" },
        { startSeconds: 5, durationSeconds: 75, reason: "muted" },
        { startSeconds: 90, durationSeconds: 0, reason: "unreadable" },
        { startSeconds: 99, durationSeconds: 3, reason: "cosmic_rays" },
      ],
      freezes: [{ startSeconds: 70, durationSeconds: 1.4 }],
      undecodable: [{ startSeconds: 63, durationSeconds: 12 }],
      resolutions: [
        { startSeconds: 0, width: 320, height: 180 },
        { startSeconds: 31.2, width: 1280, height: 720 },
      ],
    });
    const [told] = reportOf(withTracks([track]))?.tracks ?? [];
    expect(told?.kind).toBe("screen");
    expect(told?.packets).toBe(
      "9,990 packets received, 1,200 sent again and recovered, 10 lost (0.10 %)",
    );
    expect(told?.sizes).toBe("320 × 180 from 0:00, 1280 × 720 from 0:31");
    expect(told?.flaws.map((flaw) => `${flaw.at} ${flaw.text}`)).toEqual([
      "5 1:15 min: switched off by the person",
      "61 2.5 s: lost on the way",
      "63 12 s: picture damaged until the next whole one",
      "70 1.4 s: the picture stood still",
      "90 the server’s own copy is damaged from here",
      "99 3.0 s: cosmic_rays",
    ]);
  });

  it("lists only so many of each track, and says how many more there are", () => {
    const gaps = Array.from({ length: 40 }, (_, index) => ({
      startSeconds: index * 10,
      durationSeconds: 1,
      reason: "lost",
    }));
    const [told] = reportOf(withTracks([aTrack({ gaps })]))?.tracks ?? [];
    expect([told?.flaws.length, told?.more]).toEqual([12, 28]);
  });

  it("knows nothing of a recording without a report", () => {
    expect(reportOf(aRecording())).toBeNull();
    expect(reportOf(aRecording({ integrity: {} }))).toBeNull();
  });

  it("passes on what failed", () => {
    const integrity = { tracks: [], complete: false, failures: ["a.journal: damaged"] };
    expect(reportOf(aRecording({ integrity }))?.failures).toEqual(["a.journal: damaged"]);
  });
});

describe("marks", () => {
  const files = [aFile({ participantId: "ana-3f9c1d2e4a5b", participantName: "Ana B." })];
  it("marks losses, not mutes", () => {
    const gaps = [
      { startSeconds: 5, durationSeconds: 5, reason: "muted" },
      { startSeconds: 20, durationSeconds: 2, reason: "network" },
      { startSeconds: 50, durationSeconds: 4, reason: "absent" },
    ];
    const recording = { ...withTracks([aTrack({ gaps })]), files };
    expect(marksOf(recording, 100).map(({ start, end, weight }) => [start, end, weight])).toEqual([
      [20, 22, "loss"],
      [50, 54, "calm"],
    ]);
    expect(marksOf(recording, 100)[0]?.text).toBe(
      "0:20 Ana B., picture: nothing arrived: the connection was down",
    );
  });

  it("joins near ones, so that there are never too many", () => {
    const gaps = Array.from({ length: 5000 }, (_, index) => ({
      startSeconds: index * 5,
      durationSeconds: 0.1,
      reason: index % 2 ? "lost" : "absent",
    }));
    const marks = marksOf({ ...withTracks([aTrack({ gaps })]), files }, 25_000);
    expect(marks.length).toBeLessThanOrEqual(200);
    expect(marks[0]?.weight).toBe("loss");
  });
});
