/** The REST interface: every request of the application, typed, in one place. */

export type RecordingStatus =
  "starting" | "recording" | "processing" | "uploading" | "recorded" | "failed";

export type FileRole = "" | "poster" | "strip" | "cues" | "playlist" | "media";

export interface RecordingFile {
  id: string;
  kind: string;
  /** Empty for what was recorded or composed; else what this shows of the file it was made of. */
  role: FileRole;
  derivedFrom: string | null;
  participantId: string | null;
  participantName: string;
  source: string;
  /** Where it begins on the recording's time line. */
  startSeconds: number;
  contentType: string;
  size: number | null;
  durationSeconds: number | null;
  width: number | null;
  height: number | null;
  sha256: string;
  url: string;
  /** Addresses of what was made of it. */
  poster: string | null;
  strip: string | null;
  cues: string | null;
  hls: string | null;
}

export interface Span {
  startSeconds: number;
  durationSeconds: number;
}

export interface TrackIntegrity {
  trackId: string;
  participantId: string;
  kind: string;
  source?: string;
  packetsReceived: number;
  packetsLost: number;
  packetsRecovered: number;
  gaps: (Span & { reason: string })[];
  undecodable: Span[];
  freezes?: Span[];
  resolutions: { startSeconds: number; width: number; height: number }[];
}

export interface Integrity {
  tracks?: TrackIntegrity[];
  audioVideoOffsetMs?: number | null;
  complete?: boolean;
  failures?: unknown[];
}

export type Layout = "grid" | "speaker" | "single";

export interface RenderOptions {
  layout?: Layout;
  focus?: string | null;
  quality?: "720p" | "1080p";
  audioOnly?: boolean;
  names?: boolean;
}

export type RenderStatus = "queued" | "rendering" | "uploading" | "done" | "failed" | "cancelled";

export interface Render {
  id: string;
  recordingId: string;
  status: RenderStatus;
  progress: number;
  options: Record<string, unknown>;
  error: string | null;
  fileId: string | null;
  createdAt: string | null;
  finishedAt: string | null;
}

export interface Recording {
  id: string;
  room: string;
  callId: string | null;
  status: RecordingStatus;
  mode: string;
  options?: { audioOnly?: boolean };
  startedBy: string | null;
  startedAt: string | null;
  stoppedAt: string | null;
  durationSeconds: number | null;
  size: number | null;
  error: string | null;
  metadata: Record<string, unknown>;
  files: RecordingFile[];
  integrity: Integrity | null;
  /** Only of one that was asked for by its id. */
  renders?: Render[];
}

export interface RecordingProgress {
  status: RecordingStatus;
  progress: number;
  bytes?: number;
  error: string | null;
  /** Why no more came, once nothing comes any more: "host", "max_duration", ... */
  endReason?: string | null;
  renders?: Render[];
  /** What participants' browsers have sent of their own recordings. */
  chunks?: { participantId: string; status?: string }[];
}

export type RecordingMode = "tracks" | "composite" | "client";

export interface RecordingChoice {
  mode: RecordingMode;
  layout: Layout;
  audioOnly: boolean;
}

export interface RoomSettings {
  recordingEnabled: boolean;
  automaticRecording: boolean;
  maxDurationMinutes: number;
  recordingMode: RecordingMode;
  layout: Layout;
  quality: string;
  audioOnly: boolean;
}

export interface Page<T> {
  items: T[];
  page: number;
  limit: number;
  total: number;
}

export interface RoomToken {
  token: string;
  url: string | null;
  room: string;
  identity: string;
  role: string;
  expiresAt: string;
}

export interface LiveRoom {
  name: string;
  participants: { identity: string; name: string }[];
  recordingStatus?: string;
}

/** What the server, or the way to it, refused. `status` is 0 when no answer came at all. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
    readonly details: unknown = null,
    /** When the server wants to be asked again, in seconds. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

interface Call {
  token?: string | null;
  body?: object;
  signal?: AbortSignal;
  /** Goes on when the page is closed meanwhile. */
  keepalive?: boolean;
}

export async function request<T>(method: string, path: string, call: Call = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (call.token) headers.Authorization = `Bearer ${call.token}`;
  if (call.body) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: call.body ? JSON.stringify(call.body) : undefined,
      signal: call.signal,
      keepalive: call.keepalive,
      cache: "no-store",
    });
  } catch (error) {
    if (call.signal?.aborted) throw error;
    throw new ApiError("unreachable", "The server did not answer.", 0);
  }
  if (response.status === 204) return undefined as T;
  const retryAfter = Number(response.headers.get("Retry-After"));
  return unwrap<T>(response.status, await response.text(), retryAfter || null);
}

/** Opens the `{success, data | error}` envelope; throws `ApiError` for everything but success. */
export function unwrap<T>(status: number, text: string, retryAfter: number | null = null): T {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = null;
  }
  if (isRecord(answer) && answer.success === true) return answer.data as T;
  if (isRecord(answer) && isRecord(answer.error)) {
    const { code, message, details } = answer.error;
    throw new ApiError(String(code), String(message), status, details ?? null, retryAfter);
  }
  if (status >= 502 && status <= 504) {
    throw new ApiError("unreachable", "The server is not running behind its proxy.", status);
  }
  throw new ApiError("bad_answer", `The server answered ${status} in an unknown form.`, status);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

const segment = encodeURIComponent;

export const liveRooms = async (token: string, signal?: AbortSignal) =>
  (await request<Page<LiveRoom>>("GET", "/api/v1/rooms", { token, signal })).items;

export const roomToken = (
  token: string,
  body: { room: string; name: string; role: string; identity?: string },
) => request<RoomToken>("POST", "/api/v1/token", { token, body });

export const createInvite = (token: string, room: string) =>
  request<{ url: string }>("POST", `/api/v1/rooms/${segment(room)}/invites`, {
    token,
    body: { role: "participant", expiresInSeconds: 24 * 3600 },
  });

export const acceptInvite = (code: string, name: string) =>
  request<RoomToken>("POST", `/api/v1/invites/${segment(code)}/accept`, { body: { name } });

interface RecordingAnswer {
  recordingId: string;
  status: RecordingStatus;
}

export const startRecording = (token: string, room: string, choice: Partial<RecordingChoice>) =>
  request<RecordingAnswer>("POST", `/api/v1/rooms/${segment(room)}/recording/start`, {
    token,
    body: choice,
  });

export const stopRecording = (token: string, room: string) =>
  request<RecordingAnswer>("POST", `/api/v1/rooms/${segment(room)}/recording/stop`, {
    token,
    body: {},
  });

export interface RecordingFilter {
  room?: string;
  status?: string;
}

export function listRecordings(
  token: string,
  page: number,
  limit: number,
  filter: RecordingFilter = {},
  signal?: AbortSignal,
) {
  const query = new URLSearchParams({
    page: `${page}`,
    limit: `${limit}`,
    includeSignedUrl: "true",
  });
  if (filter.room) query.set("room", filter.room);
  if (filter.status) query.set("status", filter.status);
  return request<Page<Recording>>("GET", `/api/v1/recordings?${query}`, { token, signal });
}

const recordingPath = (id: string) => `/api/v1/recordings/${segment(id)}`;

export const getRecording = (token: string, id: string, signal?: AbortSignal) =>
  request<Recording>("GET", `${recordingPath(id)}?includeSignedUrl=true`, { token, signal });

export const startRender = async (token: string, id: string, options: RenderOptions) =>
  request<{ renderId: string }>("POST", `${recordingPath(id)}/render`, { token, body: options });

export const cancelRender = (token: string, id: string, renderId: string) =>
  request<unknown>("DELETE", `${recordingPath(id)}/renders/${segment(renderId)}`, { token });

export const roomSettings = (token: string, room: string, signal?: AbortSignal) =>
  request<RoomSettings>("GET", `/api/v1/rooms/${segment(room)}/settings`, { token, signal });

export const changeRoomSettings = (token: string, room: string, change: Partial<RoomSettings>) =>
  request<RoomSettings>("PUT", `/api/v1/rooms/${segment(room)}/settings`, { token, body: change });

/** The stream of a recording's states (server-sent events). Throws `ApiError`. */
export async function recordingEvents(
  token: string,
  id: string,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  const response = await fetch(`${recordingPath(id)}/events`, {
    headers: { Accept: "text/event-stream", Authorization: `Bearer ${token}` },
    cache: "no-store",
    signal,
  });
  if (!response.ok || response.body === null) unwrap(response.status, await response.text());
  return response.body as ReadableStream<Uint8Array>;
}

export const recordingProgress = (token: string, id: string, signal?: AbortSignal) =>
  request<RecordingProgress>("GET", `/api/v1/recordings/${segment(id)}/status`, { token, signal });

export const deleteRecording = (token: string, id: string) =>
  request<unknown>("DELETE", `/api/v1/recordings/${segment(id)}`, { token });

/** The address that saves a file instead of showing it. */
export function downloadUrl(url: string): string {
  return `${url}${url.includes("?") ? "&" : "?"}download=1`;
}
