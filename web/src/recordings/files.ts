/** Links to files are signed for a short time, so each use asks for fresh ones. */

import { downloadUrl, getRecording, type RecordingFile } from "../api";

/** Throws `ApiError`. */
export async function freshFile(
  token: string,
  recordingId: string,
  fileId: string,
): Promise<RecordingFile | null> {
  const { files } = await getRecording(token, recordingId);
  return files.find((file) => file.id === fileId) ?? null;
}

/** Has the browser save a file. Throws `ApiError`. */
export async function save(token: string, recordingId: string, fileId: string): Promise<void> {
  const file = await freshFile(token, recordingId, fileId);
  if (file === null) return;
  const link = document.createElement("a");
  link.href = downloadUrl(file.url);
  link.download = "";
  link.click();
}
