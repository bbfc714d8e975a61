import { type ReactNode, useEffect, useRef } from "react";
import { Icon } from "./Icon";

interface PanelProps {
  title: string;
  className: string;
  testId?: string;
  onClose: () => void;
  children: ReactNode;
}

/** Choices beside the button that opens them. Focus goes to what is chosen; Escape closes it. */
export function Panel({ title, className, testId, onClose, children }: PanelProps) {
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    const first = panel.current?.querySelector<HTMLInputElement>("input:checked");
    (first ?? panel.current?.querySelector("input"))?.focus();
  }, []);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => event.key === "Escape" && onClose();
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [onClose]);
  return (
    <section
      ref={panel}
      className={`${className} card options`}
      aria-label={title}
      data-testid={testId}
    >
      <div className="panel-head">
        <h2>{title}</h2>
        <button type="button" className="button quiet icon-only small" onClick={onClose}>
          <Icon name="close" />
          <span className="visually-hidden">Close</span>
        </button>
      </div>
      {children}
    </section>
  );
}
