import { CopyList } from "../copies/CopyList";
import { useCopies } from "../copies/useCopies";
import type { Explained } from "../explain";
import { Link } from "../router";
import { Centred } from "../ui/Frame";
import { Notice } from "../ui/Notice";

interface EndedProps {
  room: string;
  why: Explained | null;
  onRejoin: () => void;
}

export function Ended({ room, why, onRejoin }: EndedProps) {
  const copies = useCopies();
  return (
    <Centred>
      <h1>{why ? "The call has stopped" : "You left the call"}</h1>
      {why ? (
        <Notice what={why} />
      ) : (
        <p className="muted">“{room}” stays open for the others. You can come back any time.</p>
      )}
      {copies.length > 0 && <CopyList shown={copies} />}
      <div className="row">
        <button type="button" className="button primary" onClick={onRejoin} data-testid="rejoin">
          {why ? "Try again" : "Join again"}
        </button>
        <Link to="/recordings" className="button">
          Recordings
        </Link>
        <Link to="/" className="button quiet">
          Home
        </Link>
      </div>
    </Centred>
  );
}
