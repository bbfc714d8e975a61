import { useEffect, useState } from "react";
import type { RecordingFilter } from "../api";
import { Switch } from "../ui/Switch";

const STATES = [
  ["", "All"],
  ["recorded", "Ready"],
  ["recording", "Recording"],
  ["failed", "Failed"],
] as const;

const TYPING_MS = 350;

interface FiltersProps {
  value: RecordingFilter;
  /** Whether there can be recordings of more than one room. */
  everyRoom: boolean;
  onChange: (filter: RecordingFilter) => void;
}

export function Filters({ value, everyRoom, onChange }: FiltersProps) {
  const [room, setRoom] = useState(value.room ?? "");
  useEffect(() => {
    const wanted = room.trim() || undefined;
    if (wanted === value.room) return;
    const timer = window.setTimeout(() => onChange({ ...value, room: wanted }), TYPING_MS);
    return () => window.clearTimeout(timer);
  }, [room, value, onChange]);

  return (
    <form className="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <Switch
        label="State"
        options={STATES}
        value={value.status ?? ""}
        onChange={(status) => onChange({ ...value, status: status || undefined })}
      />
      {everyRoom && (
        <input
          className="input"
          type="search"
          aria-label="Room"
          placeholder="Room, its whole name"
          maxLength={64}
          value={room}
          onChange={(event) => setRoom(event.target.value)}
          data-testid="filter-room"
        />
      )}
    </form>
  );
}
