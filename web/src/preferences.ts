/** What this browser's person chose last: name and devices. */

export interface Preferences {
  name: string;
  cameraId: string;
  microphoneId: string;
  camera: boolean;
  microphone: boolean;
}

const KEY = "mediaserver.preferences";
const NONE: Preferences = {
  name: "",
  cameraId: "",
  microphoneId: "",
  camera: true,
  microphone: true,
};

export function readPreferences(): Preferences {
  try {
    return { ...NONE, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>) };
  } catch {
    return NONE;
  }
}

export function keepPreferences(change: Partial<Preferences>): void {
  localStorage.setItem(KEY, JSON.stringify({ ...readPreferences(), ...change }));
}
