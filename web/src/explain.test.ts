import { describe, expect, it } from "vitest";
import { ApiError } from "./api";
import { explain, explainDevice, needsSignIn } from "./explain";

const failure = (name: string) => Object.assign(new Error(name), { name });

describe("explain", () => {
  it("goes by code before status", () => {
    expect(explain(new ApiError("invite_used_up", "x", 403)).title).toContain("used up");
    expect(explain(new ApiError("not_host", "x", 403)).title).toContain("right");
  });
  it("passes the server's own words on when it knows no better", () => {
    expect(explain(new ApiError("odd", "Room names have 64 letters.", 400)).advice).toBe(
      "Room names have 64 letters.",
    );
  });
  it("takes any other error", () => {
    expect(explain(new Error("boom")).advice).toBe("boom");
    expect(explain("boom").advice).toBe("boom");
  });
  it("sends to sign-in on 401 only", () => {
    expect(needsSignIn(new ApiError("token_expired", "x", 401))).toBe(true);
    expect(needsSignIn(new ApiError("not_host", "x", 403))).toBe(false);
    expect(needsSignIn(new Error("x"))).toBe(false);
  });
});

describe("explainDevice", () => {
  it.each([
    ["NotAllowedError", "may not use your camera"],
    ["NotFoundError", "No camera"],
    ["NotReadableError", "busy"],
    ["TypeError", "offers no camera"],
    ["Whatever", "did not start"],
  ])("%s", (name, title) => {
    expect(explainDevice("camera", failure(name)).title).toContain(title);
  });
  it("tells a cancelled screen share from a failed one", () => {
    expect(explainDevice("screen", failure("NotAllowedError")).title).toContain("not shared");
    expect(explainDevice("screen", "odd").title).toContain("can’t be shared");
  });
});
