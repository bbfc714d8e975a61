// Uppy with its tus plugin, as its documentation shows it; what became of the file ends up in <output>.
import Uppy from "@uppy/core";
import Tus from "@uppy/tus";

const said = new URLSearchParams(location.hash.slice(1));
const uppy = new Uppy({ autoProceed: true }).use(Tus, {
  endpoint: `${said.get("server")}/api/v1/media/tus/`,
  headers: { Authorization: `Bearer ${said.get("token")}` },
  chunkSize: Number(said.get("chunk") ?? "Infinity"),
  retryDelays: [50, 100, 200, 500, 1000],
});
const output = document.querySelector("output");
uppy.on("complete", ({ successful, failed }) => {
  const errors = failed.map((file) => file.error);
  output.textContent = JSON.stringify({ urls: successful.map((file) => file.uploadURL), errors });
});
document.querySelector("input").addEventListener("change", (event) => {
  for (const file of event.target.files) {
    uppy.addFile({ name: file.name, type: file.type, data: file });
  }
});
