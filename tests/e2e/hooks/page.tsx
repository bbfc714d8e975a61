import { useEffect, useMemo } from "react";
import { createRoot } from "react-dom/client";
import { useChunkedRecording, type ChunkedRecording } from "./useChunkedRecording";
import { useFileUpload, type FileUpload } from "./useFileUpload";

declare global {
  interface Window {
    /** What the hooks say now; the test calls them through it. */
    hooks: { recording: ChunkedRecording; upload: FileUpload };
    fakeCamera: () => Promise<MediaStream>;
  }
}

window.fakeCamera = () =>
  navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 480 } });

function Application() {
  const said = new URLSearchParams(location.hash.slice(1));
  const server = said.get("server") ?? "";
  const token = said.get("token") ?? "";
  const access = useMemo(() => ({ server, token }), [server, token]);
  const recording = useChunkedRecording(
    access,
    said.get("call") ?? "",
    said.get("participant") ?? "",
  );
  const upload = useFileUpload(access);
  useEffect(() => {
    window.hooks = { recording, upload };
  });
  return (
    <>
      <input
        type="file"
        aria-label="file"
        onChange={(event) => void upload.upload(event.target.files![0]!)}
      />
      <output>
        {recording.status} {upload.progress.at(-1)?.uploadProgress}
      </output>
    </>
  );
}

createRoot(document.getElementById("root")!).render(<Application />);
