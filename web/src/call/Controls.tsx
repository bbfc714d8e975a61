import { type Room, Track } from "livekit-client";
import { useState } from "react";
import { type Device, type Explained, explainDevice } from "../explain";
import { session } from "../state";
import { ControlButton } from "./ControlButton";
import { useMediaOf } from "./hooks";
import { RecordButton } from "./RecordButton";
import type { LocalCopy } from "./useLocalCopy";

interface ControlsProps {
  room: Room;
  name: string;
  /** False until the call stands: nothing can be sent before. */
  ready: boolean;
  host: boolean;
  copy: LocalCopy | null;
  unread: number;
  chatOpen: boolean;
  onChat: () => void;
  onLeave: () => void;
  onProblem: (what: Explained) => void;
}

const CAN_SHARE = typeof navigator.mediaDevices?.getDisplayMedia === "function";

export function Controls(props: ControlsProps) {
  const { room, name, ready, host, copy, unread, chatOpen, onProblem } = props;
  const me = room.localParticipant;
  useMediaOf(me);
  const mayPublish = me.permissions?.canPublish !== false;

  return (
    <div className="controls" role="toolbar" aria-label="Call">
      {mayPublish && <MediaButtons {...{ room, name, ready, onProblem }} />}
      <ControlButton
        testId="open-chat"
        icon="chat"
        label={chatOpen ? "Close chat" : "Open chat"}
        caption="Chat"
        expanded={chatOpen}
        count={unread}
        onClick={props.onChat}
      />
      {host && <RecordButton {...{ room, name, ready, copy, onProblem }} />}
      <ControlButton
        testId="leave"
        icon="leave"
        label="Leave the call"
        caption="Leave"
        look="danger"
        onClick={props.onLeave}
      />
    </div>
  );
}

type MediaButtonsProps = Pick<ControlsProps, "room" | "name" | "ready" | "onProblem">;

function MediaButtons({ room, name, ready, onProblem }: MediaButtonsProps) {
  const [pending, setPending] = useState<Device | null>(null);
  const me = room.localParticipant;
  const microphone = me.isMicrophoneEnabled;
  const camera = me.isCameraEnabled;
  const screen = me.isScreenShareEnabled;

  const change = async (device: Device, to: boolean) => {
    setPending(device);
    try {
      if (device === "microphone") await me.setMicrophoneEnabled(to);
      else if (device === "camera") await me.setCameraEnabled(to);
      else await me.setScreenShareEnabled(to, { audio: true });
      if (device !== "screen") session.changeSeat(name, { [device]: to });
    } catch (error) {
      onProblem(explainDevice(device, error));
    } finally {
      setPending(null);
    }
  };
  return (
    <>
      <ControlButton
        testId="toggle-mic"
        icon={microphone ? "mic" : "micOff"}
        label={microphone ? "Mute microphone" : "Unmute microphone"}
        caption={microphone ? "Mute" : "Unmute"}
        look={microphone ? "plain" : "off"}
        source={Track.Source.Microphone}
        ready={ready}
        pending={pending === "microphone"}
        onClick={() => void change("microphone", !microphone)}
      />
      <ControlButton
        testId="toggle-camera"
        icon={camera ? "camera" : "cameraOff"}
        label={camera ? "Turn camera off" : "Turn camera on"}
        caption="Camera"
        look={camera ? "plain" : "off"}
        source={Track.Source.Camera}
        ready={ready}
        pending={pending === "camera"}
        onClick={() => void change("camera", !camera)}
      />
      {CAN_SHARE && (
        <ControlButton
          testId="toggle-screen"
          icon={screen ? "screenOff" : "screen"}
          label={screen ? "Stop sharing your screen" : "Share your screen"}
          caption={screen ? "Stop" : "Share"}
          look={screen ? "active" : "plain"}
          source={Track.Source.ScreenShare}
          ready={ready}
          pending={pending === "screen"}
          onClick={() => void change("screen", !screen)}
        />
      )}
    </>
  );
}
