import type { ReactNode } from "react";
import icon from "../icon.svg";
import { Link } from "../router";
import { session } from "../state";
import { Icon } from "./Icon";

function Brand() {
  return (
    <Link to="/" className="brand">
      <img src={icon} alt="mediaserver" />
      <span aria-hidden="true">mediaserver</span>
    </Link>
  );
}

interface FrameProps {
  page: "home" | "recordings" | "media";
  children: ReactNode;
}

/** The frame of the pages around a call: brand, navigation, content. */
export function Frame({ page, children }: FrameProps) {
  const signedIn = session.signInToken() !== null;
  return (
    <>
      <header className="topbar">
        <Brand />
        <nav aria-label="Main">
          <Link to="/" className="button quiet" current={page === "home"}>
            Rooms
          </Link>
          <Link to="/recordings" className="button quiet" current={page === "recordings"}>
            Recordings
          </Link>
          <Link to="/media" className="button quiet" current={page === "media"}>
            Media
          </Link>
        </nav>
        {signedIn && (
          <button
            type="button"
            className="button quiet icon-only"
            title="Sign out"
            onClick={() => session.signOut()}
          >
            <Icon name="leave" />
            <span className="visually-hidden">Sign out</span>
          </button>
        )}
      </header>
      <main className="page">{children}</main>
    </>
  );
}

/** A page of one card in the middle of the window. */
export function Centred({ children }: { children: ReactNode }) {
  return (
    <main className="centred">
      <Brand />
      <div className="card">{children}</div>
    </main>
  );
}
