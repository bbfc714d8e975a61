/** The values that the parts of the local recorder hand to each other. */

/** What was told to the server of a chunk set, and what has to survive a reload. */
export interface LocalSession {
  /** Made of the address, recording and participant: one set of chunks on the server. */
  id: string;
  /** Origin and path in front of `/api/v1`; "" is the page's own server. */
  baseUrl: string;
  recordingId: string;
  participantId: string;
  /** Milliseconds since 1970 on this device's clock. */
  createdAt: number;
  /** No further part will be recorded. */
  ended: boolean;
  /** Why the server takes nothing of it any more; its chunks are kept. */
  refused: Refusal | null;
  /** The application's own: anything that can be cloned, such as what it needs for a new token. */
  context: unknown;
}

export interface Refusal {
  /** HTTP status; 0 when it was no answer of the server's. */
  status: number;
  code: string;
  message: string;
}

export type Source = "camera" | "screen";

/** One MediaRecorder session. */
export interface LocalPart {
  session: string;
  part: number;
  source: Source;
  mimeType: string;
  /** When it began: ISO 8601 on this device's clock. */
  startedAt: string;
  /** The sequence of the next chunk: how many there have been. */
  next: number;
  /** Of all chunks that there have been. */
  bytes: number;
}

/** Names one chunk within its session. */
export interface ChunkKey {
  part: number;
  sequence: number;
  size: number;
}

/** What the server has of one part. Ranges include both ends. */
export interface PartState {
  part: number;
  received: [first: number, last: number][];
  missing: number[];
  next: number;
}

export interface ChunkState {
  participantId: string;
  status?: string;
  parts: PartState[];
  limits?: { chunkBytes?: number; totalBytes?: number; parts?: number; sequences?: number };
}

export type Phase =
  /** A recorder adds chunks. */
  | "recording"
  /** No recorder is at work; what there is is being sent. */
  | "sending"
  | "done"
  | "refused";

/** What the sending waits for. "recording": everything is sent, and the recording goes on. */
export type Waiting = "network" | "server" | "token" | "recording";

export interface Progress {
  id: string;
  recordingId: string;
  participantId: string;
  context: unknown;
  phase: Phase;
  waiting: Waiting | null;
  /** Bytes recorded so far, and those of them that are on the server's disk. */
  bytesTotal: number;
  bytesSaved: number;
  chunksTotal: number;
  chunksSaved: number;
  /** Chunks that this browser could not write to its storage: they are lost with the page. */
  chunksInMemory: number;
  refusal: Refusal | null;
}
