/** Server-sent events out of a stream of bytes (HTML standard, 9.2). Pure but for the reading. */

export interface StreamEvent {
  event: string;
  data: string;
}

/** Takes text in pieces as they come, gives back the events that are whole by now. */
export class EventParser {
  private rest = "";
  private event = "";
  private data: string[] = [];

  push(text: string): StreamEvent[] {
    const found: StreamEvent[] = [];
    this.rest += text;
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(this.rest);
      if (end === null) return found;
      const line = this.rest.slice(0, end.index);
      this.rest = this.rest.slice(end.index + end[0].length);
      const whole = this.take(line);
      if (whole !== null) found.push(whole);
    }
  }

  private take(line: string): StreamEvent | null {
    if (line === "") return this.flush();
    const [, field = "", value = ""] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === "event") this.event = value;
    if (field === "data") this.data.push(value);
    return null;
  }

  private flush(): StreamEvent | null {
    const { event, data } = this;
    this.event = "";
    this.data = [];
    return data.length === 0 ? null : { event: event || "message", data: data.join("\n") };
  }
}

export async function* eventsOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<StreamEvent, void> {
  const parser = new EventParser();
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.releaseLock();
  }
}
