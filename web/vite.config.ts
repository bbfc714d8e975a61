import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.MEDIASERVER_URL ?? "http://127.0.0.1:7880";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: fileURLToPath(new URL("../signaling/webroot", import.meta.url)),
    emptyOutDir: true,
    assetsDir: "assets",
    assetsInlineLimit: 0,
    target: "es2022",
    chunkSizeWarningLimit: 900,
  },
  server: {
    proxy: {
      "/api": server,
      "/video-calls": server,
      "/rtc": { target: server, ws: true },
    },
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
