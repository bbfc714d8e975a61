import { type ChangeEvent, useRef, useState } from "react";
import { Icon } from "../ui/Icon";
import { putCaptions, removeCaptions } from "./api";
import type { FileProps } from "./MediaPage";
import { languageName } from "./MediaPlayer";

/** Offered first; the rest is typed. */
const LANGUAGES = ["en", "de", "es", "fr", "it", "pt", "nl", "pl", "tr", "ar", "hi", "ja", "zh"];

export function Captions({ file, act }: FileProps) {
  const chooser = useRef<HTMLInputElement>(null);
  const [language, setLanguage] = useState(() => navigator.language.slice(0, 2).toLowerCase());
  const [busy, setBusy] = useState(false);
  const languages = LANGUAGES.includes(language) ? LANGUAGES : [language, ...LANGUAGES];
  const chosen = async (event: ChangeEvent<HTMLInputElement>) => {
    const [text] = event.target.files ?? [];
    const input = event.target;
    if (text === undefined) return;
    setBusy(true);
    await act(async (key) => putCaptions(key, file.id, language, await text.text()));
    input.value = "";
    setBusy(false);
  };
  return (
    <section className="card panel" aria-labelledby="captions-heading">
      <h2 id="captions-heading">Captions</h2>
      {file.captions.length > 0 && (
        <ul data-testid="captions">
          {file.captions.map((each) => (
            <li key={each.language} className="row-line">
              <span className="grow">{languageName(each.language)}</span>
              <button
                type="button"
                className="button quiet icon-only small"
                title={`Remove captions in ${languageName(each.language)}`}
                onClick={() => void act((key) => removeCaptions(key, file.id, each.language))}
              >
                <Icon name="trash" />
                <span className="visually-hidden">
                  Remove captions in {languageName(each.language)}
                </span>
              </button>
            </li>
          ))}
        </ul>
      )}
      <div className="one-line">
        <select
          className="input"
          aria-label="Language of the captions"
          value={language}
          onChange={(event) => setLanguage(event.target.value)}
          data-testid="caption-language"
        >
          {languages.map((each) => (
            <option key={each} value={each}>
              {languageName(each)}
            </option>
          ))}
        </select>
        <button
          type="button"
          className="button"
          disabled={busy}
          onClick={() => chooser.current?.click()}
        >
          {busy ? <span className="spinner" /> : <Icon name="plus" />}
          Add a WebVTT file
        </button>
        <input
          ref={chooser}
          type="file"
          hidden
          accept=".vtt,text/vtt"
          aria-label="Captions, a WebVTT file"
          data-testid="caption-file"
          onChange={(event) => void chosen(event)}
        />
      </div>
    </section>
  );
}
