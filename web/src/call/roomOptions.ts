import { type RoomOptions, VideoPresets } from "livekit-client";
import { readPreferences } from "../preferences";

/**
 * The server forwards one layer of each track at this stage, so nothing is simulcast and nothing
 * switches layers behind its back. VP8 is what every browser encodes and every recording plays.
 */
export function roomOptions(): RoomOptions {
  const { cameraId, microphoneId } = readPreferences();
  return {
    adaptiveStream: false,
    dynacast: false,
    publishDefaults: { simulcast: false, videoCodec: "vp8", red: false },
    videoCaptureDefaults: {
      resolution: VideoPresets.h720.resolution,
      deviceId: cameraId === "" ? undefined : { ideal: cameraId },
    },
    audioCaptureDefaults: {
      deviceId: microphoneId === "" ? undefined : { ideal: microphoneId },
    },
  };
}
