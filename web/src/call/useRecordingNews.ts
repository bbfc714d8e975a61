import type { Room } from "livekit-client";
import { useEffect, useRef } from "react";
import { recordingProgress } from "../api";
import type { Explained } from "../explain";
import { session } from "../state";
import { useRecordingFlag } from "./hooks";
import { onRecordingMessage } from "./recordingMessages";
import { mayBeNews, noticeOf, type RecordingMessage, STARTED, STOPPED } from "./recordingNews";

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
    const tell = async (message: RecordingMessage) => {
      const token = session.tokenFor(room.name) ?? "";
      const fate = await recordingProgress(token, message.recordingId).catch(() => message);
      const notice = noticeOf({ ...fate, status: message.status });
      if (notice !== null) add(notice.tone, notice.what);
    };
    return onRecordingMessage(room, (message) => {
      if (mayBeNews(message)) void tell(message);
    });
  }, [room, add]);
}
