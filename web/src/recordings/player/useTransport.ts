import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { clipsOf, type Scene } from "./scene";
import { Transport } from "./transport";

const TICK_MS = 50;

/** The transport of a scene. Another scene begins where the one before was. */
export function useTransport(scene: Scene): Transport {
  const last = useRef<Transport | null>(null);
  const { id, total } = scene;
  const transport = useMemo(() => {
    const next = new Transport(total);
    if (last.current !== null) {
      last.current.pause();
      next.setSpeed(last.current.speed);
      next.seek(last.current.snapshot().position);
    }
    last.current = next;
    return next;
    // eslint-disable-next-line react-hooks/exhaustive-deps -- one transport for each scene
  }, [id, total]);
  const clips = clipsOf(scene);
  for (const { id, start, end, origin } of clips) transport.expect(id, start, end, origin);
  transport.keepOnly(new Set(clips.map((clip) => clip.id)));

  useEffect(() => {
    const timer = window.setInterval(() => transport.tick(performance.now()), TICK_MS);
    return () => {
      window.clearInterval(timer);
      transport.pause();
    };
  }, [transport]);
  return transport;
}

/** The position in steps of `grain` seconds, so that not every tick draws. */
export function usePosition(transport: Transport, grain: number): number {
  const read = useCallback(() => {
    const { position } = transport.snapshot();
    return position >= transport.total ? position : Math.floor(position / grain) * grain;
  }, [transport, grain]);
  return useSyncExternalStore(transport.subscribe, read);
}

export function usePlaying(transport: Transport): boolean {
  return useSyncExternalStore(transport.subscribe, () => transport.snapshot().playing);
}

export function useWaiting(transport: Transport): boolean {
  return useSyncExternalStore(transport.subscribe, () => transport.snapshot().waiting);
}
