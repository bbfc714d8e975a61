/** Which small picture shows which moment: WebVTT whose cues name regions of a strip. Pure. */

export interface Thumbnail {
  /** Seconds from the beginning of the file. */
  start: number;
  end: number;
  /** Address of the strip, absolute. */
  url: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

const TIMING = /^\s*([\d:.]+)\s+-->\s+([\d:.]+)/;
const REGION = /^(\S+)#xywh=(?:pixel:)?(\d+),(\d+),(\d+),(\d+)\s*$/;

/** `base` is the address of the cues, to which their names are relative. */
export function parseCues(text: string, base: string): Thumbnail[] {
  const found: Thumbnail[] = [];
  let times: [number, number] | null = null;
  for (const line of text.split(/\r\n|\n|\r/)) {
    const timing = TIMING.exec(line);
    if (timing) {
      times = [seconds(timing[1] ?? ""), seconds(timing[2] ?? "")];
      continue;
    }
    const region = REGION.exec(line);
    if (region === null || times === null) continue;
    const [start, end] = times;
    times = null;
    const [x = 0, y = 0, width = 0, height = 0] = region.slice(2).map(Number);
    if (!(end > start) || width === 0 || height === 0) continue;
    found.push({ start, end, url: new URL(region[1] ?? "", base).href, x, y, width, height });
  }
  return found.sort((a, b) => a.start - b.start);
}

function seconds(clock: string): number {
  return clock.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

/** The picture of a moment; past the last cue the last one, null where there is none. */
export function thumbnailAt(cues: readonly Thumbnail[], at: number): Thumbnail | null {
  let low = 0;
  let high = cues.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((cues[middle] as Thumbnail).start <= at) low = middle + 1;
    else high = middle;
  }
  return cues[Math.max(0, low - 1)] ?? null;
}
