import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError, acceptInvite, downloadUrl, startRecording, unwrap } from "./api";

function refusal(run: () => unknown): ApiError {
  try {
    run();
  } catch (error) {
    if (error instanceof ApiError) return error;
  }
  throw new Error("nothing was refused");
}

describe("unwrap", () => {
  it("gives the data", () => {
    expect(unwrap(200, '{"success":true,"data":{"a":1}}')).toEqual({ a: 1 });
  });
  it("keeps code, message, status and details of a refusal", () => {
    const body = '{"success":false,"error":{"code":"no_call","message":"No.","details":[1]}}';
    expect(refusal(() => unwrap(409, body))).toMatchObject({
      code: "no_call",
      message: "No.",
      status: 409,
      details: [1],
    });
  });
  it.each([
    [502, "<html>"],
    [504, ""],
  ])("takes %d of a proxy for an unreachable server", (status, body) => {
    expect(refusal(() => unwrap(status, body)).code).toBe("unreachable");
  });
  it.each([
    [200, "<html>"],
    [500, "null"],
    [404, '{"detail":"x"}'],
  ])("names an answer of unknown form (%d %s)", (status, body) => {
    expect(refusal(() => unwrap(status, body))).toMatchObject({ code: "bad_answer", status });
  });
});

describe("requests", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("sends the token and an escaped room", async () => {
    const fetch = vi.fn(async () => new Response('{"success":true,"data":{}}'));
    vi.stubGlobal("fetch", fetch);
    await startRecording("t0", "a/b c", {});
    expect(fetch).toHaveBeenCalledWith(
      "/api/v1/rooms/a%2Fb%20c/recording/start",
      expect.objectContaining({
        method: "POST",
        headers: expect.objectContaining({ Authorization: "Bearer t0" }),
      }),
    );
  });

  it("says unreachable when no answer comes", async () => {
    vi.stubGlobal("fetch", async () => {
      throw new TypeError("Failed to fetch");
    });
    await expect(acceptInvite("code", "Ana")).rejects.toMatchObject({
      code: "unreachable",
      status: 0,
    });
  });
});

it("asks for a download beside a signature or alone", () => {
  expect(downloadUrl("/f?sig=1")).toBe("/f?sig=1&download=1");
  expect(downloadUrl("/f")).toBe("/f?download=1");
});
