/** Refusals of uploads and of the media library in words. Pure. */

import { ApiError } from "../api";
import { explain, type Explained } from "../explain";
import { duration, fileSize } from "../format";

type Details = Record<string, unknown>;
type Words = (details: Details, message: string) => Explained;

const again = (title: string) => (): Explained => ({ title, advice: "Try again." });

const BY_CODE: Record<string, Words> = {
  unsupported_format: (details) => ({
    title: "This kind of file is not accepted",
    advice: `${formatsIn(details)} What counts is what is in the file, not its name.`,
  }),
  file_too_large: ({ limitBytes, fileSize: size }) => ({
    title: "This file is too large",
    advice: `It has ${bytes(size)}, and this server takes ${bytes(limitBytes)} at most.`,
  }),
  too_large_picture: ({ width, height }) => ({
    title: "Its picture is too large",
    advice: `It has ${number(width)} × ${number(height)} pixels. Make it smaller, then upload it again.`,
  }),
  too_small: ({ width, height, minWidth, minHeight }) => ({
    title: "Its picture is too small",
    advice: `It has ${number(width)} × ${number(height)} pixels, and ${number(minWidth)} × ${number(minHeight)} are the least.`,
  }),
  too_long: ({ durationSeconds, limitSeconds }) => ({
    title: "It is too long",
    advice: `It lasts ${time(durationSeconds)}, and this server takes ${time(limitSeconds)} at most.`,
  }),
  truncated: () => ({
    title: "The file is cut short",
    advice: "Its end is missing. Save or export it again, then upload the whole file.",
  }),
  not_playable: (_details, message) => ({
    title: "Nothing in it can be played",
    advice: sentence(message),
  }),
  size_mismatch: () => ({
    title: "Not all of it arrived as it was",
    advice: "The file may have changed meanwhile. Try again.",
  }),
  content_type_mismatch: () => ({
    title: "Another kind of file arrived than was announced",
    advice: "Choose the file again.",
  }),
  bad_filename: () => ({
    title: "The name of this file is not possible",
    advice: "Give it a name of 1 to 255 ordinary characters, then choose it again.",
  }),
  bad_file_size: () => ({ title: "This file is empty", advice: "Choose another file." }),
  upload_over: again("This upload was given up meanwhile"),
  unknown_upload: again("The server knows this upload no more"),
  upload_busy: () => ({
    title: "The file is just being checked",
    advice: "Wait a moment, then try again.",
  }),
  upload_incomplete: again("Parts of it have not arrived"),
  file_unreadable: () => ({
    title: "The file can’t be read any more",
    advice: "It was moved, changed or removed. Choose it again.",
  }),
  store_refused: (_details, message) => ({ title: "It could not be kept", advice: message }),
  media_not_found: () => ({
    title: "This file does not exist any more",
    advice: "It may have been removed for good. Go back to the library.",
  }),
  not_your_media: () => ({
    title: "This file is somebody else’s",
    advice: "Only the person who uploaded it sees it. Sign in as that person.",
  }),
  media_deleted: () => ({
    title: "This file is in the trash",
    advice: "Restore it, then try again.",
  }),
  bad_captions: (_details, message) => ({
    title: "These captions can’t be used",
    advice: sentence(message),
  }),
  too_many_renditions: () => ({
    title: "Too many versions are being made",
    advice: "Wait until one of them is ready, then try again.",
  }),
};

export function explainMedia(error: unknown): Explained {
  if (!(error instanceof ApiError)) return explain(error);
  const words = BY_CODE[error.code];
  if (words === undefined) return explain(error);
  const { details } = error;
  const known = typeof details === "object" && details !== null ? (details as Details) : {};
  return words(known, error.message);
}

/** True when the same file would be refused again. */
export function isAboutTheFile(error: unknown): boolean {
  return error instanceof ApiError && [400, 413, 415, 422].includes(error.status);
}

function formatsIn({ allowedFormats }: Details): string {
  if (!Array.isArray(allowedFormats)) return "Choose a video.";
  const names = allowedFormats.map((one) => formatName(String(one)));
  return `This server takes ${listed(names)}.`;
}

/** "WebM", "MP4" */
export function formatName(format: string): string {
  return format === "webm" ? "WebM" : format.toUpperCase();
}

/** "MP4, WebM and MOV" */
export function listed(names: readonly string[]): string {
  const last = names.at(-1) ?? "nothing";
  return names.length < 2 ? last : `${names.slice(0, -1).join(", ")} and ${last}`;
}

function bytes(value: unknown): string {
  return typeof value === "number" ? fileSize(value) : "too much";
}

function number(value: unknown): string {
  return typeof value === "number" ? String(value) : "?";
}

function time(value: unknown): string {
  return typeof value === "number" ? duration(value) : "too long";
}

function sentence(text: string): string {
  const words = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(words) ? words : `${words}.`;
}
