import { useSyncExternalStore } from "react";
import type { Progress } from "../local-recorder";
import { copies } from "./copies";

/** Every local recording of this browser that is not finished, and what has been finished here. */
export function useCopies(): readonly Progress[] {
  return useSyncExternalStore(copies.subscribe, copies.snapshot);
}
