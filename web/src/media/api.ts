/** The REST interface of uploads and the media library, typed. All throw `ApiError`. */

import { ApiError, type Page, request, unwrap } from "../api";
import { partsToTell } from "./upload/parts";
import type { Session, SignedPart, UploadApi } from "./upload/ports";

export type MediaStatus = "processing" | "ready" | "failed";
export type RenditionStatus =
  "queued" | "processing" | "uploading" | "done" | "failed" | "cancelled";

export interface Rendition {
  name: string;
  status: RenditionStatus;
  /** 0 to 1. */
  progress: number;
  url: string | null;
  width: number | null;
  height: number | null;
  size: number | null;
  error: string | null;
}

export interface Caption {
  language: string;
  label: string;
  cues: number;
  url: string | null;
}

export interface MediaFile {
  id: string;
  userId: string;
  filename: string;
  contentType: string;
  fileType: "video" | "audio";
  size: number;
  status: MediaStatus;
  /** Signed, for two hours; null in the trash, as every address. */
  url: string | null;
  durationSeconds: number | null;
  width: number | null;
  height: number | null;
  videoCodec: string | null;
  audioCodec: string | null;
  /** Bits per second. */
  bitrate: number | null;
  frameRate: number | null;
  quality: string | null;
  captions: Caption[];
  thumbnailUrl: string | null;
  renditions: Rendition[];
  sha256: string | null;
  duplicateOf: string | null;
  tags: string[];
  attachments: Attachment[];
  views: number;
  secondsWatched: number;
  error: string | null;
  createdAt: string;
  deletedAt: string | null;
}

interface Initiated {
  sessionKey: string;
  storageKey: string;
  uploadUrl?: string;
  fields?: Record<string, string>;
  partSize?: number;
}

const segment = encodeURIComponent;
const UPLOAD = "/api/v1/media/upload";

/** `token` gives one that carries an identity. */
export function uploadApi(token: () => Promise<string>): UploadApi {
  return {
    async initiate(file, signal) {
      const body = {
        filename: file.name,
        fileSize: file.size,
        contentType: file.type || "application/octet-stream",
      };
      const path = `${UPLOAD}/initiate`;
      return sessionOf(
        await request<Initiated>("POST", path, { token: await token(), body, signal }),
      );
    },
    async signPart(sessionKey, partNumber, signal) {
      const body = { sessionKey, partNumbers: [partNumber] };
      const { urls } = await request<{ urls: SignedPart[] }>("POST", `${UPLOAD}/parts`, {
        token: await token(),
        body,
        signal,
      });
      const [url] = urls;
      if (url === undefined) throw new Error(`no address for part ${partNumber}`);
      return url;
    },
    async complete(session, signal) {
      const { sessionKey, storageKey } = session;
      const parts = session.kind === "multipart" ? partsToTell(session) : undefined;
      const body = { sessionKey, storageKey, parts };
      return request("POST", `${UPLOAD}/complete`, { token: await token(), body, signal });
    },
    async report(sessionKey, bytes) {
      const path = `${UPLOAD}/progress/${segment(sessionKey)}`;
      await request("PUT", path, { token: await token(), body: { bytesUploaded: bytes } });
    },
    async abort(sessionKey) {
      await request("DELETE", `${UPLOAD}/${segment(sessionKey)}`, { token: await token() });
    },
  };
}

function sessionOf({ sessionKey, storageKey, uploadUrl, fields, partSize }: Initiated): Session {
  if (partSize !== undefined) {
    return { kind: "multipart", sessionKey, storageKey, partSize, etags: {}, sent: false };
  }
  return {
    kind: "form",
    sessionKey,
    storageKey,
    uploadUrl: uploadUrl ?? "",
    fields: fields ?? {},
    sent: false,
  };
}

export interface UploadLimits {
  largestBytes: number;
  formats: string[];
  /** Uploads that one person may have under way. */
  atOnce: number;
}

export const uploadLimits = (token: string, signal?: AbortSignal) =>
  request<UploadLimits>("GET", `${UPLOAD}/limits`, { token, signal });

export interface MediaFilter {
  type?: string;
  status?: string;
  tag?: string;
  /** Part of the name. */
  q?: string;
}

export function listMedia(
  token: string,
  page: number,
  limit: number,
  { filter, order, deleted }: { filter: MediaFilter; order: string; deleted: boolean },
  signal?: AbortSignal,
) {
  const query = new URLSearchParams({ page: `${page}`, limit: `${limit}`, sort: order });
  for (const name of ["type", "status", "tag", "q"] as const) {
    const wanted = filter[name];
    if (wanted) query.set(name, wanted);
  }
  if (deleted) query.set("deleted", "true");
  return request<Page<MediaFile>>("GET", `/api/v1/media/user/media?${query}`, { token, signal });
}

const mediaPath = (id: string) => `/api/v1/media/media/${segment(id)}`;

export const getMedia = (token: string, id: string, signal?: AbortSignal) =>
  request<MediaFile>("GET", mediaPath(id), { token, signal });

export const changeMedia = (
  token: string,
  id: string,
  body: { filename?: string; tags?: string[] },
) => request<MediaFile>("PATCH", mediaPath(id), { token, body });

export const deleteMedia = (token: string, id: string) =>
  request<unknown>("DELETE", mediaPath(id), { token });

export const restoreMedia = (token: string, id: string) =>
  request<MediaFile>("POST", `${mediaPath(id)}/restore`, { token, body: {} });

export const makeRenditions = (token: string, id: string, renditions: string[]) =>
  request<MediaFile>("POST", `${mediaPath(id)}/process`, { token, body: { renditions } });

export const removeRendition = (token: string, id: string, name: string) =>
  request<MediaFile>("DELETE", `${mediaPath(id)}/renditions/${segment(name)}`, { token });

/** `continued`: more of a view that was told before. Arrives although the page is closed meanwhile. */
export const watched = (token: string, id: string, seconds: number, continued: boolean) =>
  request<unknown>("POST", `${mediaPath(id)}/views`, {
    token,
    body: { seconds, continued },
    keepalive: true,
  });

/** A video of a course that a file is shown as. */
export interface Attachment {
  courseId: string;
  videoId?: string;
}

export const attach = (token: string, id: string, body: Attachment) =>
  request<MediaFile>("POST", `${mediaPath(id)}/attach-video`, { token, body });

export function detach(token: string, id: string, { courseId, videoId }: Attachment) {
  const query = new URLSearchParams({ courseId });
  if (videoId !== undefined) query.set("videoId", videoId);
  return request<MediaFile>("DELETE", `${mediaPath(id)}/attach-video?${query}`, { token });
}

export type BatchAction = "delete" | "restore" | "tag" | "process";

export interface BatchOptions {
  /** Added to those that the files have. */
  tags?: string[];
  renditions?: string[];
}

export interface BatchResult {
  id: string;
  success: boolean;
  error?: { code: string; message: string; status: number };
}

/** One action on at most 200 files, with a result for each. */
export const batch = async (
  token: string,
  ids: readonly string[],
  action: BatchAction,
  options: BatchOptions = {},
) => {
  const body = { ids, action, ...options };
  const path = "/api/v1/media/batch";
  return (await request<{ results: BatchResult[] }>("POST", path, { token, body })).results;
};

const captionPath = (id: string, language: string) =>
  `${mediaPath(id)}/captions/${segment(language)}`;

export const removeCaptions = (token: string, id: string, language: string) =>
  request<unknown>("DELETE", captionPath(id, language), { token });

/** `text` is WebVTT. */
export async function putCaptions(
  token: string,
  id: string,
  language: string,
  text: string,
): Promise<MediaFile> {
  let response: Response;
  try {
    response = await fetch(captionPath(id, language), {
      method: "PUT",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "text/vtt" },
      body: text,
    });
  } catch {
    throw new ApiError("unreachable", "The server did not answer.", 0);
  }
  return unwrap<MediaFile>(response.status, await response.text());
}
