import { type SubmitEvent, useState } from "react";
import type { Explained } from "../explain";
import { roomPath } from "../route";
import { navigate } from "../router";
import { isExpired, tokenIn } from "../session";
import { session } from "../state";
import { Centred } from "../ui/Frame";
import { textOf } from "../ui/form";
import { Notice } from "../ui/Notice";

const NO_TOKEN: Explained = {
  title: "This is no sign-in link",
  advice: "Paste the whole link that the server printed. It contains #token= and a long code.",
};
const EXPIRED: Explained = {
  title: "This link has expired",
  advice: "Restart the server, or run “mediaserver token”, to get a new one.",
};

interface SignInProps {
  /** Why a sign-in that was there does no longer do. */
  problem?: Explained | null;
  title?: string;
  lead?: string;
}

export function SignIn({ problem = null, title, lead }: SignInProps) {
  const [refused, setRefused] = useState<Explained | null>(null);
  const shown = refused ?? problem;

  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const token = tokenIn(textOf(event.currentTarget, "token"));
    if (token === null) return setRefused(NO_TOKEN);
    if (isExpired(token, Date.now())) return setRefused(EXPIRED);
    setRefused(null);
    const landing = session.land(`#token=${encodeURIComponent(token)}`);
    if (landing?.path === "room") navigate(roomPath(landing.room));
  };

  return (
    <Centred>
      <div>
        <h1>{title ?? "Sign in to your server"}</h1>
      </div>
      <p className="muted">
        {lead ??
          "Hosts sign in with the link that the server prints when it starts. Guests need no account: open the invite link you were sent."}
      </p>
      {shown && <Notice what={shown} />}
      <form data-testid="sign-in-form" onSubmit={submit}>
        <label className="field">
          Sign-in link or token
          <input
            className="input"
            name="token"
            autoComplete="off"
            spellCheck={false}
            placeholder="Paste it here"
            required
          />
        </label>
        <button type="submit" className="button primary">
          Sign in
        </button>
      </form>
    </Centred>
  );
}
