/**
 * What the record button shows. Pure.
 *
 * Two sources tell of a recording: the answers to the host's own requests, and the room's flag,
 * which everyone sees. The flag is the truth; the answers only bridge the time until it moves.
 *
 *     idle --start--> starting --flag on--> recording --stop--> stopping --flag off--> idle
 */

import type { Explained } from "../explain";

export interface RecordState {
  phase: "idle" | "starting" | "recording" | "stopping";
  /** The room's flag as last seen. */
  flag: boolean;
  /** Known once the server accepted the start. */
  recordingId: string | null;
  error: Explained | null;
}

export type RecordEvent =
  | { type: "start" }
  | { type: "accepted"; recordingId: string }
  | { type: "stop" }
  | { type: "stopped" }
  | { type: "settle" }
  | { type: "flag"; on: boolean }
  | { type: "failed"; error: Explained }
  | { type: "dismiss" };

export function initialRecordState(flag: boolean): RecordState {
  return { phase: flag ? "recording" : "idle", flag, recordingId: null, error: null };
}

export function recordReducer(state: RecordState, event: RecordEvent): RecordState {
  switch (event.type) {
    case "start":
      return state.phase === "idle" ? { ...state, phase: "starting", error: null } : state;
    case "accepted":
      return state.phase === "starting" ? { ...state, recordingId: event.recordingId } : state;
    case "stop":
      return state.phase === "recording" || state.phase === "starting"
        ? { ...state, phase: "stopping", error: null }
        : state;
    case "stopped":
      return state.flag ? state : atRest(state, null);
    case "settle":
      return atRest(state, null);
    case "flag":
      return onFlag({ ...state, flag: event.on });
    case "failed":
      return atRest(state, event.error);
    case "dismiss":
      return { ...state, error: null };
  }
}

function atRest(state: RecordState, error: Explained | null): RecordState {
  return { ...initialRecordState(state.flag), error };
}

function onFlag(state: RecordState): RecordState {
  if (state.flag) return state.phase === "stopping" ? state : { ...state, phase: "recording" };
  return state.phase === "starting" ? state : { ...state, phase: "idle", recordingId: null };
}
