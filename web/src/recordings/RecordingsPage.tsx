import "../styles/recordings.css";
import { useCallback, useState } from "react";
import { listRecordings, type Recording, type RecordingFilter } from "../api";
import { type Explained, explain, needsSignIn } from "../explain";
import { SignIn } from "../pages/SignIn";
import { Link } from "../router";
import { session, useLibraryToken, usePolling } from "../state";
import { Frame } from "../ui/Frame";
import { Icon } from "../ui/Icon";
import { Notice } from "../ui/Notice";
import { Filters } from "./Filters";
import { isUnderWay, merge } from "./model";
import { RecordingCard } from "./RecordingCard";

const PAGE_SIZE = 24;
const BUSY_MS = 4000;
const IDLE_MS = 15_000;
/** Recordings whose states are followed live: browsers hold six connections to a server. */
const FOLLOWED = 3;

export default function RecordingsPage() {
  const { token, refused, reject } = useLibraryToken();
  if (token === null) {
    return (
      <SignIn
        problem={refused}
        title="Sign in to see recordings"
        lead="The library opens with the sign-in link of the host, or after you joined a call by invite."
      />
    );
  }
  return <Library key={token} token={token} onRejected={reject} />;
}

interface LibraryProps {
  token: string;
  onRejected: (why: Explained) => void;
}

interface Listing {
  recordings: Recording[];
  total: number;
}

function Library({ token, onRejected }: LibraryProps) {
  const [listing, setListing] = useState<Listing | null>(null);
  const [pages, setPages] = useState(1);
  const [problem, setProblem] = useState<Explained | null>(null);
  const [filter, setFilter] = useState<RecordingFilter>({});
  const [stale, setStale] = useState(0);

  // `stale`: a recording has ended, so the list is out of date at once
  const load = useCallback(
    async (signal: AbortSignal) => {
      try {
        const wanted = Array.from({ length: pages }, (_, index) => index + 1);
        const answers = await Promise.all(
          wanted.map((page) => listRecordings(token, page, PAGE_SIZE, filter, signal)),
        );
        if (signal.aborted) return;
        const recordings = merge(answers.map((answer) => answer.items));
        setListing({ recordings, total: answers[0]?.total ?? 0 });
        setProblem(null);
      } catch (error) {
        if (signal.aborted) return;
        if (needsSignIn(error)) onRejected(explain(error));
        else setProblem(explain(error));
      }
    },
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `stale` asks for a new round
    [token, pages, filter, stale, onRejected],
  );
  const underWay = listing?.recordings.filter((one) => isUnderWay(one.status)) ?? [];
  const followed = new Set(underWay.slice(0, FOLLOWED).map((one) => one.id));
  const busy = underWay.length > 0;
  const filtered = Object.values(filter).some(Boolean);
  usePolling(load, busy ? BUSY_MS : IDLE_MS);

  const forget = useCallback((id: string) => {
    setListing((before) =>
      before === null
        ? null
        : {
            recordings: before.recordings.filter((one) => one.id !== id),
            total: before.total - 1,
          },
    );
  }, []);

  return (
    <Frame page="recordings">
      <div className="page-head">
        <h1>Recordings</h1>
        <p className="lead">Every call you recorded, one file for each person, on this server.</p>
        {(filtered || (listing?.total ?? 0) > 0) && (
          <Filters
            value={filter}
            everyRoom={session.signInToken() !== null}
            onChange={(next) => {
              setFilter(next);
              setPages(1);
            }}
          />
        )}
      </div>
      {problem && <Notice what={problem} />}
      {listing === null && !problem && <Loading />}
      {listing?.recordings.length === 0 && (filtered ? <NoMatch /> : <Empty />)}
      <ul className="recordings" aria-label="Recordings" aria-busy={listing === null}>
        {listing?.recordings.map((recording) => (
          <RecordingCard
            key={recording.id}
            recording={recording}
            token={token}
            followed={followed.has(recording.id)}
            onDeleted={() => forget(recording.id)}
            onChanged={() => setStale((count) => count + 1)}
          />
        ))}
      </ul>
      {listing !== null && listing.recordings.length < listing.total && (
        <div className="more">
          <button type="button" className="button" onClick={() => setPages(pages + 1)}>
            Show older recordings
          </button>
        </div>
      )}
    </Frame>
  );
}

function Loading() {
  return (
    <div className="recordings" role="status">
      <span className="visually-hidden">Loading recordings</span>
      {[0, 1, 2].map((index) => (
        <div key={index} className="card recording">
          <div className="skeleton" style={{ height: 22, width: "60%" }} />
          <div className="skeleton" style={{ height: 16, width: "80%" }} />
          <div className="skeleton" style={{ height: 48 }} />
        </div>
      ))}
    </div>
  );
}

function NoMatch() {
  return (
    <div className="empty" data-testid="no-match">
      <Icon name="film" />
      <strong>No recording matches</strong>
      <span>Choose another room or state.</span>
    </div>
  );
}

function Empty() {
  return (
    <div className="empty large" data-testid="no-recordings">
      <Icon name="film" />
      <strong>No recordings yet</strong>
      <span>Start a call and press Record. It shows up here as soon as you stop.</span>
      <Link to="/" className="button primary">
        Start a call
      </Link>
    </div>
  );
}
