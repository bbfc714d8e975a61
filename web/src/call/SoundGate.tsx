import { type Room, RoomEvent } from "livekit-client";
import { useCallback, useSyncExternalStore } from "react";
import { Icon } from "../ui/Icon";

/** Browsers may hold sound back until the person acts, for example after a reload. */
export function SoundGate({ room }: { room: Room }) {
  const subscribe = useCallback(
    (listener: () => void) => {
      room.on(RoomEvent.AudioPlaybackStatusChanged, listener);
      return () => void room.off(RoomEvent.AudioPlaybackStatusChanged, listener);
    },
    [room],
  );
  const plays = useSyncExternalStore(subscribe, () => room.canPlaybackAudio);
  if (plays) return null;
  return (
    <button type="button" className="button primary" onClick={() => void room.startAudio()}>
      <Icon name="sound" />
      Turn sound on
    </button>
  );
}
