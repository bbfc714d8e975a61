import { useParticipants } from "@livekit/components-react";
import type { Room } from "livekit-client";
import { people } from "../format";
import { Icon } from "../ui/Icon";
import { InviteButton } from "./InviteButton";
import { LocalCopyChip } from "./LocalCopyChip";
import { RecMark } from "./RecMark";
import type { LocalCopy } from "./useLocalCopy";

interface CallHeaderProps {
  room: Room;
  name: string;
  host: boolean;
  copy: LocalCopy | null;
}

export function CallHeader({ room, name, host, copy }: CallHeaderProps) {
  const count = useParticipants().length;
  return (
    <header className="call-header">
      <h1 className="truncate">{name}</h1>
      <RecMark room={room} />
      {copy && <LocalCopyChip copy={copy} />}
      <span className="count" title={`${people(count)} in the call`}>
        <Icon name="people" />
        <span data-testid="participant-count">{count}</span>
        <span className="visually-hidden">in the call</span>
      </span>
      {host && <InviteButton room={name} />}
    </header>
  );
}
