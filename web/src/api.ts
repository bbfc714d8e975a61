/** The REST interface: every request of the application, typed, in one place. */

export type RecordingStatus =
  "starting" | "recording" | "processing" | "uploading" | "recorded" | "failed";

export interface RecordingFile {
  id: string;
  kind: string;
  participantId: string | null;
  participantName: string;
  source: string;
  contentType: string;
  size: number | null;
  durationSeconds: number | null;
  width: number | null;
  height: number | null;
  url: string;
}

export interface Recording {
  id: string;
  room: string;
  callId: string | null;
  status: RecordingStatus;
  startedBy: string | null;
  startedAt: string | null;
  stoppedAt: string | null;
  durationSeconds: number | null;
  size: number | null;
  error: string | null;
  metadata: Record<string, unknown>;
  files: RecordingFile[];
}

export interface RecordingProgress {
  status: RecordingStatus;
  progress: number;
  error: string | null;
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
  ) {
    super(message);
    this.name = "ApiError";
  }
}

interface Call {
  token?: string | null;
  body?: object;
  signal?: AbortSignal;
}

async function request<T>(method: string, path: string, call: Call = {}): Promise<T> {
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
      cache: "no-store",
    });
  } catch (error) {
    if (call.signal?.aborted) throw error;
    throw new ApiError("unreachable", "The server did not answer.", 0);
  }
  if (response.status === 204) return undefined as T;
  return unwrap<T>(response.status, await response.text());
}

/** Opens the `{success, data | error}` envelope; throws `ApiError` for everything but success. */
export function unwrap<T>(status: number, text: string): T {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = null;
  }
  if (isRecord(answer) && answer.success === true) return answer.data as T;
  if (isRecord(answer) && isRecord(answer.error)) {
    const { code, message, details } = answer.error;
    throw new ApiError(String(code), String(message), status, details ?? null);
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

export const startRecording = (token: string, room: string) =>
  request<RecordingAnswer>("POST", `/api/v1/rooms/${segment(room)}/recording/start`, {
    token,
    body: {},
  });

export const stopRecording = (token: string, room: string) =>
  request<RecordingAnswer>("POST", `/api/v1/rooms/${segment(room)}/recording/stop`, {
    token,
    body: {},
  });

export const listRecordings = (token: string, page: number, limit: number, signal?: AbortSignal) =>
  request<Page<Recording>>(
    "GET",
    `/api/v1/recordings?page=${page}&limit=${limit}&includeSignedUrl=true`,
    { token, signal },
  );

export const getRecording = (token: string, id: string) =>
  request<Recording>("GET", `/api/v1/recordings/${segment(id)}?includeSignedUrl=true`, { token });

export const recordingProgress = (token: string, id: string, signal?: AbortSignal) =>
  request<RecordingProgress>("GET", `/api/v1/recordings/${segment(id)}/status`, { token, signal });

export const deleteRecording = (token: string, id: string) =>
  request<unknown>("DELETE", `/api/v1/recordings/${segment(id)}`, { token });

/** The address that saves a file instead of showing it. */
export function downloadUrl(url: string): string {
  return `${url}${url.includes("?") ? "&" : "?"}download=1`;
}
