/** What an upload needs of the world around it, so that tests can be that world. */

import type { MediaFile } from "../api";
import type { Claims } from "./claims";

/** An upload session of the server, as far as this browser knows it. */
export type Session = FormSession | MultipartSession;

export interface FormSession {
  kind: "form";
  sessionKey: string;
  storageKey: string;
  uploadUrl: string;
  fields: Record<string, string>;
  /** True once the store has taken all of it: only completing is left. */
  sent: boolean;
}

export interface MultipartSession {
  kind: "multipart";
  sessionKey: string;
  storageKey: string;
  /** In bytes; the last part may be smaller. */
  partSize: number;
  /** What the store called each part it has, by number from 1; "" where it would not say. */
  etags: Record<number, string>;
  sent: boolean;
}

export interface SignedPart {
  partNumber: number;
  url: string;
  headers?: Record<string, string>;
}

/** The server's side. All throw `ApiError`. */
export interface UploadApi {
  initiate(file: File, signal: AbortSignal): Promise<Session>;
  signPart(sessionKey: string, partNumber: number, signal: AbortSignal): Promise<SignedPart>;
  complete(session: Session, signal: AbortSignal): Promise<MediaFile>;
  /** Says how much a bucket has, of which the server sees nothing. */
  report(sessionKey: string, bytes: number): Promise<void>;
  abort(sessionKey: string): Promise<void>;
}

export interface Sending {
  method: string;
  url: string;
  headers?: Record<string, string>;
  body: Blob | FormData;
  signal: AbortSignal;
  /** Bytes of the body that have left, headers of a form included. */
  onProgress: (sent: number) => void;
}

/** `status` is 0 when no answer came. */
export interface Sent {
  status: number;
  text: string;
  etag: string | null;
  retryAfter: number | null;
}

export interface Ports {
  api: UploadApi;
  claims: Claims;
  /** Rejects only when `signal` is aborted. */
  send: (what: Sending) => Promise<Sent>;
  /** Resolves after so many milliseconds, or as soon as the network is back. */
  rest: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Milliseconds that never run backwards. */
  now: () => number;
  random: () => number;
}
