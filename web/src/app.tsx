import { lazy, Suspense, useEffect } from "react";
import { Home } from "./pages/Home";
import { Link, useRoute } from "./router";
import { landOnLink } from "./state";
import { Centred } from "./ui/Frame";

const RoomPage = lazy(() => import("./call/RoomPage"));
const RecordingsPage = lazy(() => import("./recordings/RecordingsPage"));

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
      {route.page === "missing" && <Missing />}
    </Suspense>
  );
}

function titleOf(page: string): string {
  if (page === "home") return "mediaserver";
  return `${page === "recordings" ? "Recordings" : page} · mediaserver`;
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
