// What @vercel/blob does with a store: node vercel_sdk.mjs MODULE, the store in its own variables.
// Prints, as JSON, what it saw.
import { pathToFileURL } from "node:url";

const sdk = await import(pathToFileURL(process.argv[2]));
const private_ = { access: "private" };
const large = Buffer.alloc(12_000_000, "0123456789");

const put = await sdk.put("js/a.txt", "hello", { ...private_, contentType: "text/plain" });
const again = await sdk.put("js/a.txt", "other", private_).catch((error) => error.message);
const parts = await sdk.put("js/large.bin", large, { ...private_, multipart: true });
const copy = await sdk.copy("js/a.txt", "js/b.txt", private_);
const head = await sdk.head("js/large.bin");
const list = await sdk.list({ prefix: "js/" });

const reading = await sdk.issueSignedToken({ pathname: "js/a.txt", operations: ["get"] });
const get = await sdk.presignUrl(reading, {
  operation: "get",
  pathname: "js/a.txt",
  validUntil: Date.now() + 60_000,
  ...private_,
});
const writing = await sdk.issueSignedToken({
  pathname: "js/c.txt",
  operations: ["put"],
  allowedContentTypes: ["text/*"],
  maximumSizeInBytes: 10,
});
const upload = await sdk.presignUrl(writing, {
  operation: "put",
  pathname: "js/c.txt",
  allowOverwrite: true,
  allowedContentTypes: ["text/plain"],
  cacheControlMaxAge: 60,
  ...private_,
});
await sdk.del(["js/b.txt", put.url]).then(() => sdk.put("js/a.txt", "hello", private_));
const gone = await sdk.head("js/b.txt").catch((error) => error.constructor.name);

console.log(
  JSON.stringify({
    url: put.url,
    type: put.contentType,
    again,
    parts: parts.pathname,
    copy: copy.pathname,
    size: head.size,
    listed: list.blobs.map((blob) => blob.pathname),
    get: get.presignedUrl,
    put: upload.presignedUrl,
    gone,
  }),
);
