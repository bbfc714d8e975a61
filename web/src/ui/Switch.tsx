interface SwitchProps {
  label: string;
  /** Values and what they are called. */
  options: readonly (readonly [string, string])[];
  value: string;
  onChange: (value: string) => void;
}

/** A few choices side by side, one of which is pressed. */
export function Switch({ label, options, value, onChange }: SwitchProps) {
  return (
    <div className="switch" role="group" aria-label={label}>
      {options.map(([each, words]) => (
        <button
          key={each}
          type="button"
          aria-pressed={value === each}
          onClick={() => onChange(each)}
        >
          {words}
        </button>
      ))}
    </div>
  );
}
