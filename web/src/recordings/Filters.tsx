import type { RecordingFilter } from "../api";
import { Switch } from "../ui/Switch";
import { useTyped } from "../ui/useTyped";

const STATES = [
  ["", "All"],
  ["recorded", "Ready"],
  ["recording", "Recording"],
  ["failed", "Failed"],
] as const;

interface FiltersProps {
  value: RecordingFilter;
  /** Whether there can be recordings of more than one room. */
  everyRoom: boolean;
  onChange: (filter: RecordingFilter) => void;
}

export function Filters({ value, everyRoom, onChange }: FiltersProps) {
  const [room, setRoom] = useTyped(value.room, (named) => onChange({ ...value, room: named }));

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
