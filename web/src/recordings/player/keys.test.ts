import { describe, expect, it } from "vitest";
import { type At, commandOf } from "./keys";

describe("keys", () => {
  it.each<[string, At, unknown]>([
    [" ", "elsewhere", { do: "toggle" }],
    [" ", "button", null],
    ["k", "button", { do: "toggle" }],
    ["K", "elsewhere", { do: "toggle" }],
    ["ArrowLeft", "elsewhere", { do: "move", by: -5 }],
    ["ArrowRight", "button", { do: "move", by: 5 }],
    ["j", "elsewhere", { do: "move", by: -10 }],
    ["l", "elsewhere", { do: "move", by: 10 }],
    ["l", "field", null],
    ["Home", "elsewhere", { do: "go", to: 0 }],
    ["End", "elsewhere", { do: "go", to: 200 }],
    ["5", "elsewhere", { do: "go", to: 100 }],
    ["m", "elsewhere", { do: "mute" }],
    ["f", "elsewhere", { do: "full" }],
    ["PageUp", "elsewhere", null],
    ["Tab", "elsewhere", null],
    ["constructor", "elsewhere", null],
  ])("%j at %s", (key, at, command) => expect(commandOf({ key }, at, 200)).toEqual(command));

  it("leaves the browser's own shortcuts alone", () => {
    expect(commandOf({ key: "l", ctrlKey: true }, "elsewhere", 200)).toBeNull();
    expect(commandOf({ key: "ArrowLeft", altKey: true }, "elsewhere", 200)).toBeNull();
  });

  it("moves further with shift", () => {
    const command = commandOf({ key: "ArrowRight", shiftKey: true }, "elsewhere", 200);
    expect(command).toEqual({ do: "move", by: 30 });
  });
});
