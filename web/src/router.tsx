import { type MouseEvent, type ReactNode, useMemo, useSyncExternalStore } from "react";
import { parsePath, type Route } from "./route";

const MOVED = "mediaserver:moved";

function subscribe(listener: () => void): () => void {
  window.addEventListener("popstate", listener);
  window.addEventListener(MOVED, listener);
  return () => {
    window.removeEventListener("popstate", listener);
    window.removeEventListener(MOVED, listener);
  };
}

export function navigate(path: string, how: "push" | "replace" = "push"): void {
  if (how === "push") history.pushState(null, "", path);
  else history.replaceState(null, "", path);
  window.dispatchEvent(new Event(MOVED));
  window.scrollTo(0, 0);
}

export function useRoute(): Route {
  const path = useSyncExternalStore(subscribe, () => location.pathname);
  return useMemo(() => parsePath(path), [path]);
}

interface LinkProps {
  to: string;
  className?: string;
  children: ReactNode;
  current?: boolean;
  label?: string;
  testId?: string;
}

export function Link({ to, className, children, current, label, testId }: LinkProps) {
  const follow = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    navigate(to);
  };
  return (
    <a
      href={to}
      className={className}
      onClick={follow}
      aria-current={current ? "page" : undefined}
      aria-label={label}
      data-testid={testId}
    >
      {children}
    </a>
  );
}
