import type { CSSProperties } from "react";
import { hue, initials } from "../format";

export function Avatar({ name, seed }: { name: string; seed: string }) {
  return (
    <span className="avatar" style={{ "--hue": `${hue(seed)}deg` } as CSSProperties} aria-hidden>
      {initials(name)}
    </span>
  );
}
