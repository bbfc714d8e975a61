import type { ReceivedChatMessage } from "@livekit/components-react";

const decoder = new TextDecoder();

/**
 * Reads one chat message as components-react sends it (JSON with id, timestamp in ms and message).
 * Anything else becomes an empty message, which the chat does not show: one bad packet of somebody
 * else must not end the chat for everybody.
 */
export function decodeChat(bytes: Uint8Array): ReceivedChatMessage {
  let value: Partial<ReceivedChatMessage> | null = null;
  try {
    value = JSON.parse(decoder.decode(bytes)) as Partial<ReceivedChatMessage> | null;
  } catch {
    // falls through to the empty message
  }
  return {
    id: typeof value?.id === "string" ? value.id : "",
    timestamp: isTime(value?.timestamp) ? value.timestamp : 0,
    message: typeof value?.message === "string" ? value.message : "",
  };
}

/** A number that `Date` can hold, in milliseconds. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) <= 8.64e15;
}

export const CHAT_OPTIONS = { messageDecoder: decodeChat };
