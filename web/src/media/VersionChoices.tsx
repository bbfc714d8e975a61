import { Check } from "../ui/Check";
import { renditionName } from "./words";

interface VersionChoicesProps {
  offered: readonly string[];
  wanted: readonly string[];
  onWant: (wanted: readonly string[]) => void;
}

export function VersionChoices({ offered, wanted, onWant }: VersionChoicesProps) {
  return (
    <div className="version-choices" role="group" aria-label="Versions to make">
      {offered.map((name) => (
        <Check
          key={name}
          text={renditionName(name)}
          checked={wanted.includes(name)}
          onChange={(on) => onWant(on ? [...wanted, name] : wanted.filter((one) => one !== name))}
        />
      ))}
    </div>
  );
}
