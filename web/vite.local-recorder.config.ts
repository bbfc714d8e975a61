/** Builds the local recorder alone: one ES module without dependencies, with its types beside it. */

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  publicDir: false,
  build: {
    lib: {
      entry: path("src/local-recorder/index.ts"),
      formats: ["es"],
      fileName: () => "index.js",
    },
    outDir: path("dist/local-recorder"),
    emptyOutDir: true,
    target: "es2022",
  },
});
