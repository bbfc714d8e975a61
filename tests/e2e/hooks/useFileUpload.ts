import { useCallback, useState } from "react";
import { ask, type Access } from "./api";

const POLL_EVERY = 300;

interface Session {
  sessionKey: string;
  uploadUrl: string;
  fields: Record<string, string>;
}

export interface Progress {
  status: string;
  uploadProgress: number;
  etaSeconds: number | null;
  uploadSpeedMbps: number;
}

export interface FileUpload {
  /** Every answer of the progress route, in order. */
  progress: Progress[];
  media: unknown;
  uploadUrl: string | null;
  error: string | null;
  upload(file: File): Promise<void>;
}

/** Sends one file as a form to wherever the server says, and follows how far it is. */
export function useFileUpload(access: Access): FileUpload {
  const [progress, setProgress] = useState<Progress[]>([]);
  const [media, setMedia] = useState<unknown>(null);
  const [uploadUrl, setUploadUrl] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);

  const upload = useCallback(
    async (file: File) => {
      const session = await ask<Session>(access, "POST", "/api/v1/media/upload/initiate", {
        filename: file.name,
        fileSize: file.size,
        contentType: file.type,
      });
      setUploadUrl(session.uploadUrl);
      const look = async () => {
        const path = `/api/v1/media/upload/progress/${session.sessionKey}`;
        const seen = await ask<Progress>(access, "GET", path);
        setProgress((before) => [...before, seen]);
      };
      const timer = setInterval(
        () => void look().catch((reason: unknown) => setError(String(reason))),
        POLL_EVERY,
      );
      try {
        const form = new FormData();
        for (const [name, value] of Object.entries(session.fields)) form.append(name, value);
        form.append("file", file);
        const answer = await fetch(session.uploadUrl, { method: "POST", body: form });
        if (!answer.ok) throw new Error(`the form was answered with ${answer.status}`);
        const done = await ask(access, "POST", "/api/v1/media/upload/complete", {
          sessionKey: session.sessionKey,
          storageKey: session.fields.key,
        });
        await look();
        setMedia(done);
      } catch (reason) {
        setError(String(reason));
      } finally {
        clearInterval(timer);
      }
    },
    [access],
  );

  return { progress, media, uploadUrl, error, upload };
}
