import { lazy, Suspense, useEffect } from "react";
import { Home } from "./pages/Home";
import { Link, useRoute } from "./router";
import { landOnLink } from "./state";
import { Centred } from "./ui/Frame";

const RoomPage = lazy(() => import("./call/RoomPage"));
const RecordingsPage = lazy(() => import("./recordings/RecordingsPage"));
const UploadPage = lazy(() => import("./media/UploadPage"));
const LibraryPage = lazy(() => import("./media/LibraryPage"));
const MediaPage = lazy(() => import("./media/MediaPage"));
const CopyDock = lazy(() => import("./copies/CopyDock"));
const RecordingPage = lazy(() => import("./recordings/RecordingPage"));

export function App() {
  const route = useRoute();
  useEffect(() => {
    window.addEventListener("hashchange", landOnLink);
    return () => window.removeEventListener("hashchange", landOnLink);
  }, []);
  useEffect(() => {
    document.title = titleOf(route.page === "room" ? route.room : route.page);
  }, [route]);
  return (
    <Suspense fallback={<Loading />}>
      {route.page === "home" && <Home />}
      {route.page === "room" && <RoomPage key={route.room} room={route.room} />}
      {route.page === "recordings" && <RecordingsPage />}
      {route.page === "recording" && <RecordingPage key={route.id} id={route.id} />}
      {route.page === "upload" && <UploadPage />}
      {route.page === "library" && <LibraryPage />}
      {route.page === "media" && <MediaPage key={route.id} id={route.id} />}
      {route.page === "missing" && <Missing />}
      {route.page !== "room" && (
        <Suspense fallback={null}>
          <CopyDock />
        </Suspense>
      )}
    </Suspense>
  );
}

function titleOf(page: string): string {
  if (page === "home") return "mediaserver";
  const names: Record<string, string> = {
    recordings: "Recordings",
    recording: "Recording",
    upload: "Upload",
    library: "Media",
    media: "Media",
  };
  return `${names[page] ?? page} · mediaserver`;
}

function Loading() {
  return (
    <main className="centred" aria-busy="true">
      <span className="spinner" style={{ justifySelf: "center" }} />
      <span className="visually-hidden">Loading</span>
    </main>
  );
}

function Missing() {
  return (
    <Centred>
      <h1>There is no such page</h1>
      <p className="muted">The address may be incomplete. Rooms and recordings start at home.</p>
      <Link to="/" className="button primary">
        Go home
      </Link>
    </Centred>
  );
}
