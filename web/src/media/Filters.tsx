import { Switch } from "../ui/Switch";
import { useTyped } from "../ui/useTyped";
import type { MediaFile } from "./api";
import { type Order, ORDERS, tagsIn, type View } from "./model";

const TYPES = [
  ["", "All"],
  ["video", "Video"],
  ["audio", "Sound"],
] as const;

const STATES = [
  ["", "Any state"],
  ["ready", "Ready"],
  ["processing", "Being prepared"],
  ["failed", "Failed"],
] as const;

interface FiltersProps {
  value: View;
  files: readonly MediaFile[];
  onChange: (view: View) => void;
}

export function Filters({ value, files, onChange }: FiltersProps) {
  const { filter, order } = value;
  const tags = tagsIn(files, filter.tag);
  const narrow = (change: Partial<View["filter"]>) =>
    onChange({ ...value, filter: { ...filter, ...change } });
  const [text, setText] = useTyped(filter.q, (q) => narrow({ q }));

  return (
    <form className="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <Switch
        label="Type"
        options={TYPES}
        value={filter.type ?? ""}
        onChange={(type) => narrow({ type: type || undefined })}
      />
      <input
        className="input"
        type="search"
        aria-label="Search by name"
        placeholder="Search by name"
        maxLength={200}
        value={text}
        onChange={(event) => setText(event.target.value)}
        data-testid="search"
      />
      <Select
        label="State"
        value={filter.status ?? ""}
        options={STATES}
        onChange={(status) => narrow({ status: status || undefined })}
      />
      {tags.length > 0 && (
        <Select
          label="Tag"
          value={filter.tag ?? ""}
          options={[["", "Any tag"], ...tags.map((tag) => [tag, tag] as const)]}
          onChange={(tag) => narrow({ tag: tag || undefined })}
        />
      )}
      <Select
        label="Order"
        value={order}
        options={ORDERS}
        onChange={(chosen) => onChange({ ...value, order: chosen as Order })}
      />
    </form>
  );
}

interface SelectProps {
  label: string;
  value: string;
  options: readonly (readonly [string, string])[];
  onChange: (value: string) => void;
}

function Select({ label, value, options, onChange }: SelectProps) {
  return (
    <select
      className="input"
      aria-label={label}
      value={value}
      onChange={(event) => onChange(event.target.value)}
    >
      {options.map(([each, words]) => (
        <option key={each} value={each}>
          {words}
        </option>
      ))}
    </select>
  );
}
