// tus-js-client sends a file: node send.mjs MODULE ENDPOINT FILE URL_STORE CHUNK_SIZE, the token in
// TOKEN. An upload that URL_STORE remembers is gone on with. Prints, as JSON, what became of it.
import { createReadStream, readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [module, endpoint, path, store, chunkSize] = process.argv.slice(2);
const { FileUrlStorage, Upload } = createRequire(import.meta.url)(module);

const upload = new Upload(createReadStream(path), {
  endpoint,
  chunkSize: Number(chunkSize),
  uploadSize: readFileSync(path).length,
  urlStorage: new FileUrlStorage(store),
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
  metadata: { filename: "talk.mp4", filetype: "video/mp4" },
  retryDelays: [50, 100, 200, 500, 1000, 2000, 4000],
  onSuccess: ({ lastResponse }) => {
    const media = lastResponse.getHeader("Upload-Media-Id");
    console.log(JSON.stringify({ url: upload.url, media }));
  },
  onError: (error) => {
    console.error(error);
    process.exitCode = 1;
  },
});
const [previous] = await upload.findPreviousUploads();
if (previous) upload.resumeFromPreviousUpload(previous);
upload.start();
