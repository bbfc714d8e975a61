/** Errors in words: what happened, and what to do about it. Pure. */

import { ApiError } from "./api";

export interface Explained {
  title: string;
  advice: string;
}

const BY_CODE: Record<string, Explained> = {
  unreachable: {
    title: "The server can’t be reached",
    advice: "Check your connection and that the server is running, then try again.",
  },
  token_expired: {
    title: "Your sign-in has expired",
    advice: "Open a new sign-in link. The server prints one each time it starts.",
  },
  token_missing: {
    title: "You are not signed in",
    advice: "Open the sign-in link that the server printed, or an invite link.",
  },
  token_malformed: {
    title: "This sign-in token is damaged",
    advice: "Copy the whole link again, from http to the last character.",
  },
  token_bad_signature: {
    title: "This server does not know the sign-in token",
    advice: "It was made with another secret. Use the link this server printed.",
  },
  token_unknown_key: {
    title: "This server does not know the sign-in token",
    advice: "It was made with another key. Use the link this server printed.",
  },
  token_not_yet_valid: {
    title: "This sign-in token is not valid yet",
    advice: "Check that the clocks of the server and of its issuer agree.",
  },
  invite_used_up: {
    title: "This invite has been used up",
    advice: "Ask the host to send you a new invite link.",
  },
  invite_expired: {
    title: "This invite has expired",
    advice: "Ask the host to send you a new invite link.",
  },
  invite_unknown: {
    title: "This invite is not known here",
    advice: "Check that the link is complete, or ask the host for a new one.",
  },
  already_recording: {
    title: "This call is already being recorded",
    advice: "The recording that runs goes on. Stop it before starting another.",
  },
  no_call: {
    title: "There is no call to record",
    advice: "Wait until somebody is in the room, then start the recording again.",
  },
  not_allowed_to_record: {
    title: "You may not record here",
    advice: "Your token takes the right to record away. Ask the host of this room.",
  },
  recording_disabled: {
    title: "Recording is switched off in this room",
    advice: "A host can allow it in the recording settings of the room.",
  },
  journals_unwritable: {
    title: "The recording did not start",
    advice: "The server can’t write to its disk. Its log says more.",
  },
  nothing_to_render: {
    title: "There is nothing to make a video of",
    advice: "Wait until the recording is ready; it needs at least one file with media.",
  },
  too_many_renders: {
    title: "Too many videos are being made",
    advice: "Wait until one of them is ready, then try again.",
  },
  media_refused: {
    title: "The recording did not start",
    advice: "The media server refused it. Try again; the server’s log says more.",
  },
  stopping: {
    title: "The server is stopping",
    advice: "Wait until it runs again, then try again.",
  },
  recording_active: {
    title: "This recording is not finished yet",
    advice: "Wait until it is ready, then delete it.",
  },
};

const BY_STATUS: Record<number, Explained> = {
  401: {
    title: "You are not signed in",
    advice: "Open the sign-in link that the server printed, or an invite link.",
  },
  403: {
    title: "You don’t have the right to do this",
    advice: "Ask the host of this room, or sign in as its host.",
  },
  404: { title: "This does not exist any more", advice: "Reload the page to see what is there." },
  429: { title: "That was too often", advice: "Wait a moment, then try again." },
  503: { title: "The server is busy", advice: "Wait a moment, then try again." },
  507: {
    title: "The server’s disk is full",
    advice: "Free some space on the server, then try again.",
  },
};

export function explain(error: unknown): Explained {
  if (error instanceof ApiError) {
    const known = BY_CODE[error.code] ?? BY_STATUS[error.status];
    return known ?? { title: "The server refused", advice: error.message };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { title: "Something went wrong", advice: message };
}

/** True when only a new sign-in helps. */
export function needsSignIn(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}

export type Device = "camera" | "microphone" | "screen";

/** What a failed `getUserMedia` or `getDisplayMedia` means, by the name of its DOMException. */
export function explainDevice(device: Device, error: unknown): Explained {
  const name = nameOf(error);
  if (device === "screen") {
    return name === "NotAllowedError"
      ? {
          title: "Your screen is not shared",
          advice: "The choice was cancelled, or your system blocks it for this browser.",
        }
      : { title: "Your screen can’t be shared", advice: "Try another window or browser." };
  }
  switch (name) {
    case "NotAllowedError":
    case "PermissionDeniedError":
    case "SecurityError":
      return {
        title: `The browser may not use your ${device}`,
        advice: `Click the icon left of the address, allow the ${device}, and reload the page.`,
      };
    case "NotFoundError":
    case "DevicesNotFoundError":
    case "OverconstrainedError":
      return {
        title: `No ${device} was found`,
        advice: `Plug one in or pick another. You can join without a ${device}.`,
      };
    case "NotReadableError":
    case "TrackStartError":
    case "AbortError":
      return {
        title: `Your ${device} is busy`,
        advice: "Close other programs that use it, then try again.",
      };
    case "TypeError":
      return {
        title: `The browser offers no ${device} here`,
        advice: "Open this page over https, or on the server’s own machine as localhost.",
      };
    default:
      return {
        title: `Your ${device} did not start`,
        advice: "Unplug it and plug it in again, or pick another one.",
      };
  }
}

function nameOf(error: unknown): string {
  if (typeof error === "object" && error !== null && "name" in error) return String(error.name);
  return "";
}
