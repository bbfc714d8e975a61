/**
 * Records what a participant sends in its best quality, keeps every chunk in this browser until the
 * server has it on disk, and brings it there whatever happens to the network, the tab or the device.
 *
 * Has no dependencies. `docs/local-recorder.md` has the whole story and an example.
 */

export { type Backoff, BACKOFF } from "./backoff";
export { ChunkJournal } from "./journal";
export {
  LocalRecorder,
  type RecorderEvent,
  type RecorderState,
  type StartOptions,
} from "./recorder";
export {
  LocalRecordings,
  type LocalRecordingsOptions,
  type Participation,
  type SavedFile,
  SessionBusy,
} from "./recordings";
export type { TokenSource } from "./server";
export { askToPersist, storageRoom, type StorageRoom } from "./storage";
export type {
  ChunkKey,
  ChunkState,
  LocalPart,
  LocalSession,
  PartState,
  Phase,
  Progress,
  Refusal,
  Source,
  Waiting,
} from "./types";
export { ChunkUploader, type UploaderOptions } from "./uploader";
export { ServerError } from "./verdict";
