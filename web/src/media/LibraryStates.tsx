import { type ReactNode, useEffect } from "react";
import { Link } from "../router";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { isNarrowed, type View } from "./model";

const SHOWN_MS = 15_000;

interface ToastProps {
  /** What was done. */
  title: string;
  onGone: () => void;
  children?: ReactNode;
}

/** Says for a while what was done. */
export function Toast({ title, onGone, children }: ToastProps) {
  useEffect(() => {
    const timer = window.setTimeout(onGone, SHOWN_MS);
    return () => window.clearTimeout(timer);
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the time runs from what was done
  }, [title]);
  return (
    <div className="undo" data-testid="undo">
      <Notice tone="info" what={{ title, advice: "" }} onDismiss={onGone}>
        {children}
      </Notice>
    </div>
  );
}

export function Loading() {
  return (
    <div className="media-grid" role="status">
      <span className="visually-hidden">Loading media</span>
      {[0, 1, 2, 3].map((index) => (
        <div key={index} className="card media-card">
          <div className="skeleton media-poster" />
          <div className="skeleton" style={{ height: 20, width: "70%", margin: "14px 16px 0" }} />
          <div className="skeleton" style={{ height: 16, width: "45%", margin: "8px 16px 18px" }} />
        </div>
      ))}
    </div>
  );
}

export function Nothing({ view }: { view: View }) {
  if (view.deleted) {
    return (
      <div className="empty large" data-testid="trash-empty">
        <Icon name="trash" />
        <strong>The trash is empty</strong>
        <span>What you delete can be restored from here for a while.</span>
      </div>
    );
  }
  if (isNarrowed(view)) {
    return (
      <div className="empty" data-testid="no-match">
        <Icon name="film" />
        <strong>No file matches</strong>
        <span>Choose another type, tag or word.</span>
      </div>
    );
  }
  return (
    <div className="empty large" data-testid="no-media">
      <Icon name="film" />
      <strong>No media yet</strong>
      <span>
        Upload a video or a sound file. It shows up here as soon as the server has looked into it.
      </span>
      <Link to="/upload" className="button primary">
        Upload files
      </Link>
    </div>
  );
}
