import { ApiError } from "../../api";

/**
 * A browser gives no reason when a request ends without an answer; one is that the file was moved,
 * changed or removed since it was chosen. Throws `ApiError` then.
 */
export async function checkReadable(file: Blob): Promise<void> {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new ApiError("file_unreadable", "The file can't be read any more.", 0);
  }
}
