import { type RemoteParticipant, type Room, RoomEvent } from "livekit-client";
import { RECORDING_TOPIC, type RecordingMessage, readRecordingMessage } from "./recordingNews";

/** Hears what the server says in a room about its recording; returns what ends that. */
export function onRecordingMessage(
  room: Room,
  hear: (message: RecordingMessage) => void,
): () => void {
  const read = (
    payload: Uint8Array,
    sender: RemoteParticipant | undefined,
    _kind: unknown,
    topic?: string,
  ) => {
    // only the server has no name: nobody in the room can make others believe this, or record
    if (topic !== RECORDING_TOPIC || sender !== undefined) return;
    const message = readRecordingMessage(payload);
    if (message !== null) hear(message);
  };
  room.on(RoomEvent.DataReceived, read);
  return () => {
    room.off(RoomEvent.DataReceived, read);
  };
}
