import { type RemoteParticipant, type Room, RoomEvent } from "livekit-client";
import { useEffect, useRef } from "react";
import { recordingProgress } from "../api";
import type { Explained } from "../explain";
import { session } from "../state";
import { useRecordingFlag } from "./hooks";
import {
  mayBeNews,
  noticeOf,
  RECORDING_TOPIC,
  type RecordingMessage,
  readRecordingMessage,
  STARTED,
  STOPPED,
} from "./recordingNews";

/** Says when a recording starts, stops and fails, but takes a lost connection for neither. */
export function useRecordingNews(
  room: Room,
  connected: boolean,
  add: (tone: "info" | "error", what: Explained) => void,
) {
  const flag = useRecordingFlag(room);
  const before = useRef(false);
  useEffect(() => {
    if (!connected) return;
    if (before.current !== flag) add("info", flag ? STARTED : STOPPED);
    before.current = flag;
  }, [flag, connected, add]);

  useEffect(() => {
    const hear = (
      payload: Uint8Array,
      sender: RemoteParticipant | undefined,
      _kind: unknown,
      topic?: string,
    ) => {
      // only the server has no name: nobody in the room can make others believe this
      if (topic !== RECORDING_TOPIC || sender !== undefined) return;
      const message = readRecordingMessage(payload);
      if (message !== null && mayBeNews(message)) void tell(message);
    };
    const tell = async (message: RecordingMessage) => {
      const token = session.tokenFor(room.name) ?? "";
      const fate = await recordingProgress(token, message.recordingId).catch(() => message);
      const notice = noticeOf({ ...fate, status: message.status });
      if (notice !== null) add(notice.tone, notice.what);
    };
    room.on(RoomEvent.DataReceived, hear);
    return () => {
      room.off(RoomEvent.DataReceived, hear);
    };
  }, [room, add]);
}
