import { describe, expect, it } from "vitest";
import { AppendQueue, type Sink } from "./appendQueue";

class FakeSink implements Sink {
  updating = false;
  full = false;
  readonly did: string[] = [];
  private readonly listeners = new Map<string, () => void>();

  appendBuffer(data: ArrayBuffer): void {
    this.begin(`append ${data.byteLength}`);
  }

  remove(start: number, end: number): void {
    this.begin(`remove ${start}-${end}`);
  }

  abort(): void {
    this.did.push("abort");
  }

  addEventListener(type: "updateend" | "error", listener: () => void): void {
    this.listeners.set(type, listener);
  }

  finish(broken = false): void {
    this.updating = false;
    if (broken) this.listeners.get("error")?.();
    this.listeners.get("updateend")?.();
  }

  private begin(what: string): void {
    if (this.updating) throw new Error("InvalidStateError");
    if (this.full) throw Object.assign(new Error("no room"), { name: "QuotaExceededError" });
    this.updating = true;
    this.did.push(what);
  }
}

describe("the append queue", () => {
  it("does one thing at a time, in order", async () => {
    const sink = new FakeSink();
    const queue = new AppendQueue(sink);
    const first = queue.append(new ArrayBuffer(1));
    const second = queue.remove(0, 5);
    expect(sink.did).toEqual(["append 1"]);
    expect(queue.busy).toBe(true);
    sink.finish();
    expect(await first).toBe("appended");
    expect(sink.did).toEqual(["append 1", "remove 0-5"]);
    sink.finish();
    expect(await second).toBe("appended");
    expect(queue.busy).toBe(false);
  });

  it("says when there is no room, and goes on", async () => {
    const sink = new FakeSink();
    const queue = new AppendQueue(sink);
    sink.full = true;
    expect(await queue.append(new ArrayBuffer(1))).toBe("full");
    sink.full = false;
    const next = queue.append(new ArrayBuffer(2));
    sink.finish();
    expect(await next).toBe("appended");
  });

  it("rejects what the browser can't read", async () => {
    const sink = new FakeSink();
    const queue = new AppendQueue(sink);
    const broken = queue.append(new ArrayBuffer(1));
    sink.finish(true);
    await expect(broken).rejects.toThrow("can’t read");
  });

  it("does not reset in the middle of an append", () => {
    const sink = new FakeSink();
    const queue = new AppendQueue(sink);
    void queue.append(new ArrayBuffer(1));
    queue.reset();
    expect(sink.did).toEqual(["append 1"]);
    sink.finish();
    queue.reset();
    expect(sink.did).toEqual(["append 1", "abort"]);
  });
});
