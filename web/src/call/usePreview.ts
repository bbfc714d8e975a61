import {
  createAudioAnalyser,
  createLocalAudioTrack,
  createLocalVideoTrack,
  type LocalAudioTrack,
  type LocalVideoTrack,
  VideoPresets,
} from "livekit-client";
import { useCallback, useEffect, useState } from "react";
import { type Explained, explainDevice } from "../explain";

interface Preview<T> {
  track: T | null;
  problem: Explained | null;
}

const deviceOf = (id: string) => (id === "" ? undefined : { ideal: id });

/** Opens a device while `wanted` and closes it again; never more than one at a time. */
function useDeviceTrack<T extends { stop: () => void }>(
  wanted: boolean,
  open: () => Promise<T>,
  device: "camera" | "microphone",
): Preview<T> {
  const [preview, setPreview] = useState<Preview<T>>({ track: null, problem: null });
  useEffect(() => {
    if (!wanted) return;
    let current = true;
    let opened: T | null = null;
    open().then(
      (track) => {
        opened = track;
        if (current) setPreview({ track, problem: null });
        else track.stop();
      },
      (error: unknown) => {
        if (current) setPreview({ track: null, problem: explainDevice(device, error) });
      },
    );
    return () => {
      current = false;
      opened?.stop();
      setPreview({ track: null, problem: null });
    };
  }, [wanted, open, device]);
  return preview;
}

export function useCameraPreview(wanted: boolean, deviceId: string): Preview<LocalVideoTrack> {
  const open = useCallback(
    () =>
      createLocalVideoTrack({
        deviceId: deviceOf(deviceId),
        resolution: VideoPresets.h720.resolution,
      }),
    [deviceId],
  );
  return useDeviceTrack(wanted, open, "camera");
}

export function useMicrophonePreview(wanted: boolean, deviceId: string): Preview<LocalAudioTrack> {
  const open = useCallback(
    () => createLocalAudioTrack({ deviceId: deviceOf(deviceId) }),
    [deviceId],
  );
  return useDeviceTrack(wanted, open, "microphone");
}

/** Calls `onLevel` with 0..1 on each frame while the track lives. */
export function useLevel(track: LocalAudioTrack | null, onLevel: (level: number) => void): void {
  useEffect(() => {
    if (track === null) return onLevel(0);
    const { calculateVolume, cleanup } = createAudioAnalyser(track, { cloneTrack: false });
    let frame = 0;
    const look = () => {
      onLevel(Math.min(1, calculateVolume() * 1.6));
      frame = requestAnimationFrame(look);
    };
    look();
    return () => {
      cancelAnimationFrame(frame);
      void cleanup();
    };
  }, [track, onLevel]);
}

/** The devices of one kind, with their labels once the browser tells them. */
export function useDevices(kind: MediaDeviceKind, openedNow: boolean): MediaDeviceInfo[] {
  const [devices, setDevices] = useState<MediaDeviceInfo[]>([]);
  // `openedNow`: browsers tell the labels after the first opening.
  useEffect(() => {
    const media = navigator.mediaDevices as MediaDevices | undefined;
    if (media === undefined) return;
    let current = true;
    const look = async () => {
      const all = await media.enumerateDevices().catch(() => []);
      if (current) setDevices(all.filter((one) => one.kind === kind && one.deviceId !== ""));
    };
    void look();
    media.addEventListener("devicechange", look);
    return () => {
      current = false;
      media.removeEventListener("devicechange", look);
    };
  }, [kind, openedNow]);
  return devices;
}
