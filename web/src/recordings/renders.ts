/** Composites that were asked for, in words. Pure. */

import type { Render, RenderOptions, RenderStatus } from "../api";

const UNDER_WAY: readonly RenderStatus[] = ["queued", "rendering", "uploading"];

export const isMaking = (render: Render) => UNDER_WAY.includes(render.status);

export const LAYOUTS = [
  { value: "grid", name: "Grid", says: "Everybody alike" },
  { value: "speaker", name: "Speaker", says: "Whoever talks is large" },
  { value: "single", name: "One person", says: "Only one picture, everybody’s sound" },
] as const;

const STATES: Record<RenderStatus, string> = {
  queued: "Waiting for its turn",
  rendering: "Making the video",
  uploading: "Storing the video",
  done: "Ready",
  failed: "Failed",
  cancelled: "Cancelled",
};

export const stateOf = (render: Render): string => STATES[render.status] ?? render.status;

export const percentOf = (render: Render): number =>
  Math.round(Math.min(1, Math.max(0, render.progress || 0)) * 100);

/** "Grid, 1080p" or "Sound only". */
export function titleOf(options: Record<string, unknown>): string {
  if (options.audioOnly === true) return "Sound only";
  const layout = LAYOUTS.find((one) => one.value === options.layout) ?? LAYOUTS[0];
  const quality = typeof options.quality === "string" ? options.quality : "720p";
  return `${layout.name}, ${quality}`;
}

export interface RenderForm {
  layout: "grid" | "speaker" | "single";
  focus: string;
  quality: "720p" | "1080p";
  audioOnly: boolean;
  names: boolean;
}

/** What is sent for what was chosen: nothing that the choice leaves no room for. */
export function optionsOf(form: RenderForm): RenderOptions {
  if (form.audioOnly) return { audioOnly: true };
  const { layout, quality, names } = form;
  return layout === "single"
    ? { layout, quality, names, focus: form.focus }
    : { layout, quality, names };
}
