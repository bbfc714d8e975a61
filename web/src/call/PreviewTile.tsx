import type { LocalVideoTrack } from "livekit-client";
import { useEffect, useRef } from "react";
import { Avatar } from "../ui/Avatar";
import { Icon } from "../ui/Icon";

interface PreviewTileProps {
  track: LocalVideoTrack | null;
  name: string;
  wanted: boolean;
  failed: boolean;
  microphoneOn: boolean;
  onCamera: () => void;
  onMicrophone: () => void;
}

export function PreviewTile(props: PreviewTileProps) {
  const { track, name, wanted, failed, microphoneOn } = props;
  const state = failed ? "No picture from the camera" : "Starting the camera…";
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const element = video.current;
    if (track === null || element === null) return;
    track.attach(element);
    return () => void track.detach(element);
  }, [track]);
  return (
    <section className="preview tile" aria-label="Camera preview">
      {track && <video ref={video} className="picture mirrored" muted playsInline />}
      {!track && (
        <div className="tile-empty">
          {name !== "" && <Avatar name={name} seed={name} />}
          <span>{wanted ? state : "Your camera is off"}</span>
        </div>
      )}
      <div className="preview-buttons">
        <Toggle
          testId="prejoin-toggle-mic"
          label={microphoneOn ? "Turn microphone off" : "Turn microphone on"}
          icon={microphoneOn ? "mic" : "micOff"}
          off={!microphoneOn}
          onClick={props.onMicrophone}
        />
        <Toggle
          testId="prejoin-toggle-camera"
          label={wanted ? "Turn camera off" : "Turn camera on"}
          icon={wanted ? "camera" : "cameraOff"}
          off={!wanted}
          onClick={props.onCamera}
        />
      </div>
    </section>
  );
}

interface ToggleProps {
  testId: string;
  label: string;
  icon: "mic" | "micOff" | "camera" | "cameraOff";
  off: boolean;
  onClick: () => void;
}

function Toggle({ testId, label, icon, off, onClick }: ToggleProps) {
  return (
    <button
      type="button"
      className={`round ${off ? "off" : ""}`}
      data-testid={testId}
      title={label}
      aria-label={label}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
