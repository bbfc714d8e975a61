/** Recordings and files for unit tests. */

import type { Recording, RecordingFile } from "../api";

export const aFile = (change: Partial<RecordingFile> = {}): RecordingFile => ({
  id: "f1",
  kind: "participant",
  role: "",
  derivedFrom: null,
  participantId: "ana",
  participantName: "",
  source: "camera",
  startSeconds: 0,
  contentType: "video/webm",
  size: 1,
  durationSeconds: 1,
  width: null,
  height: null,
  sha256: "00",
  url: "/f1",
  poster: null,
  strip: null,
  cues: null,
  hls: null,
  ...change,
});

export const aRecording = (change: Partial<Recording> = {}): Recording => ({
  id: "RC_1",
  room: "team",
  callId: null,
  status: "recorded",
  mode: "tracks",
  startedBy: null,
  startedAt: null,
  stoppedAt: null,
  durationSeconds: null,
  size: null,
  error: null,
  metadata: {},
  files: [],
  integrity: null,
  ...change,
});
