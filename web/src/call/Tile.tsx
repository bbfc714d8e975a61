import {
  isTrackReference,
  type TrackReferenceOrPlaceholder,
  VideoTrack,
} from "@livekit/components-react";
import { Track } from "livekit-client";
import { Avatar } from "../ui/Avatar";
import { Icon } from "../ui/Icon";
import { displayName, isScreen, isShowing, useMediaOf } from "./hooks";

export function Tile({ trackRef }: { trackRef: TrackReferenceOrPlaceholder }) {
  const { participant, source } = trackRef;
  useMediaOf(participant);
  const name = displayName(participant);
  const screen = isScreen(source);
  const showing = isTrackReference(trackRef) && isShowing(participant, source);
  const microphoneOn = participant.isMicrophoneEnabled;
  const mirrored = participant.isLocal && !screen;
  const label = screen ? `${name}’s screen` : participant.isLocal ? `${name} (you)` : name;

  return (
    <article
      className={`tile ${screen ? "screen" : ""}`}
      data-testid="tile"
      data-identity={participant.identity}
      data-source={source}
      data-muted={!microphoneOn}
      data-video={showing}
      data-speaking={!screen && microphoneOn && participant.isSpeaking}
      aria-label={screen || microphoneOn ? label : `${label}, microphone off`}
    >
      {showing ? (
        <VideoTrack trackRef={trackRef} className={`picture ${mirrored ? "mirrored" : ""}`} />
      ) : (
        <div className="tile-empty">
          <Avatar name={name} seed={participant.identity} />
        </div>
      )}
      <div className="tile-label" aria-hidden="true">
        {!screen && !microphoneOn && <Icon name="micOff" />}
        {screen && <Icon name="screen" />}
        <span className="truncate">{label}</span>
      </div>
      {!screen && (
        <span className="visually-hidden" data-source={Track.Source.Microphone}>
          {microphoneOn ? "Microphone on" : "Microphone off"}
        </span>
      )}
    </article>
  );
}
