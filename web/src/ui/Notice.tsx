import type { ReactNode } from "react";
import type { Explained } from "../explain";
import { Icon } from "./Icon";

interface NoticeProps {
  tone?: "info" | "warn" | "error";
  what: Explained;
  /** More of it, below. */
  details?: ReactNode;
  children?: ReactNode;
  onDismiss?: () => void;
}

/** What happened and what to do. Errors are spoken at once, the rest when there is a pause. */
export function Notice({ tone = "error", what, details, children, onDismiss }: NoticeProps) {
  return (
    <div className={`notice ${tone}`} role={tone === "error" ? "alert" : "status"}>
      <Icon name={tone === "info" ? "info" : "alert"} />
      <div className="words">
        <strong>{what.title}</strong>
        {what.advice}
        {details}
      </div>
      {children}
      {onDismiss && (
        <button type="button" className="button quiet icon-only small" onClick={onDismiss}>
          <Icon name="close" />
          <span className="visually-hidden">Dismiss</span>
        </button>
      )}
    </div>
  );
}
