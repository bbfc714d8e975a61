interface CheckProps {
  text: string;
  checked: boolean;
  disabled?: boolean;
  onChange: (to: boolean) => void;
}

export function Check({ text, checked, disabled, onChange }: CheckProps) {
  return (
    <label className="check">
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        onChange={(event) => onChange(event.target.checked)}
      />
      {text}
    </label>
  );
}

interface ChoiceProps {
  group: string;
  name: string;
  says: string;
  checked: boolean;
  onChange: () => void;
}

/** One of several, with a line on what it means. */
export function Choice({ group, name, says, checked, onChange }: ChoiceProps) {
  return (
    <label className="choice">
      <input type="radio" name={group} checked={checked} onChange={onChange} />
      <strong>{name}</strong>
      <span className="muted">{says}</span>
    </label>
  );
}
