import { ConnectionState, type DisconnectReason, Room, RoomEvent } from "livekit-client";
import { useCallback, useEffect, useRef, useState } from "react";
import { type Explained, explainDevice } from "../explain";
import type { Seat } from "../session";
import { session } from "../state";
import { afterDisconnect, afterRefusal, retryDelay, signalUrl, type Verdict } from "./connection";
import { roomOptions } from "./roomOptions";

declare global {
  interface Window {
    /** The room of the call on this page, for tests and support. */
    __room?: Room;
  }
}

export type CallPhase =
  | { kind: "connecting" }
  | { kind: "connected" }
  | { kind: "reconnecting" }
  | { kind: "waiting"; seconds: number }
  | { kind: "over"; why: Explained };

interface Call {
  room: Room | null;
  phase: CallPhase;
  tryNow: () => void;
}

/** Keeps one seat connected: joins, publishes what was on, and joins again after a drop. */
export function useCall(seat: Seat, onProblem: (what: Explained) => void): Call {
  const [room, setRoom] = useState<Room | null>(null);
  const [phase, setPhase] = useState<CallPhase>({ kind: "connecting" });
  const [attempt, setAttempt] = useState(0);
  const stood = useRef(false);
  const failures = useRef(0);
  const tell = useRef(onProblem);
  tell.current = onProblem;
  const { token, url, room: name } = seat;

  // `attempt`: each one is a new connection.
  useEffect(() => {
    const next = new Room(roomOptions());
    let current = true;
    let joined = false;
    let timer: number | undefined;
    const show = (to: CallPhase) => current && setPhase(to);
    const settle = (verdict: Verdict) => {
      if (!current) return;
      if (verdict.kind === "over") return show(verdict);
      const seconds = retryDelay(failures.current);
      failures.current += 1;
      show({ kind: "waiting", seconds });
      timer = window.setTimeout(() => setAttempt((count) => count + 1), seconds * 1000);
    };
    next
      .on(RoomEvent.SignalReconnecting, () => show({ kind: "reconnecting" }))
      .on(RoomEvent.Reconnecting, () => show({ kind: "reconnecting" }))
      .on(RoomEvent.Reconnected, () => show({ kind: "connected" }))
      .on(RoomEvent.Disconnected, (reason?: DisconnectReason) => {
        if (joined) settle(afterDisconnect(reason));
      });
    const join = async () => {
      try {
        await next.connect(signalUrl(url, location.origin), token);
      } catch (error) {
        return settle(afterRefusal(error, stood.current));
      }
      if (!current) return;
      joined = true;
      stood.current = true;
      failures.current = 0;
      show({ kind: "connected" });
      await publishAsBefore(next, name, (what) => tell.current(what));
    };
    window.__room = next;
    setRoom(next);
    void join();
    return () => {
      current = false;
      window.clearTimeout(timer);
      if (window.__room === next) delete window.__room;
      void next.disconnect();
    };
  }, [token, url, name, attempt]);

  const tryNow = useCallback(() => {
    setPhase({ kind: "connecting" });
    setAttempt((count) => count + 1);
  }, []);
  return { room, phase, tryNow };
}

async function publishAsBefore(room: Room, name: string, tell: (what: Explained) => void) {
  const me = room.localParticipant;
  const seat = session.seat(name);
  if (me.permissions?.canPublish === false) return;
  const attempts = [
    { device: "microphone", wanted: seat?.microphone, on: () => me.setMicrophoneEnabled(true) },
    { device: "camera", wanted: seat?.camera, on: () => me.setCameraEnabled(true) },
  ] as const;
  for (const { device, wanted, on } of attempts) {
    if (wanted === false || room.state !== ConnectionState.Connected) continue;
    try {
      await on();
    } catch (error) {
      if (room.state === ConnectionState.Connected) tell(explainDevice(device, error));
    }
  }
}
