import { useEffect, useRef, useState } from "react";

/** After that long without another letter, in milliseconds, the typing is over. */
const TYPING_MS = 300;

/**
 * Text that is typed into a field, for its `value` and `onChange`. `onTyped` hears of it when the
 * typing is over, without blanks around; undefined is nothing. `value` is what it has heard.
 */
export function useTyped(
  value: string | undefined,
  onTyped: (text: string | undefined) => void,
): [string, (text: string) => void] {
  const [text, setText] = useState(value ?? "");
  const tell = useRef(onTyped);
  tell.current = onTyped;
  useEffect(() => {
    const wanted = text.trim() || undefined;
    if (wanted === value) return;
    const timer = window.setTimeout(() => tell.current(wanted), TYPING_MS);
    return () => window.clearTimeout(timer);
  }, [text, value]);
  return [text, setText];
}
