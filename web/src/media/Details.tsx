import { duration, fileSize } from "../format";
import type { MediaFile } from "./api";
import { bitrateWords, codecName, frameRateWords, pictureWords, qualityWords } from "./words";

/** What the server found in the file. */
export function Details({ file }: { file: MediaFile }) {
  const facts: [string, string][] = [
    ["Type", file.contentType],
    ["Size", fileSize(file.size)],
    ["Length", duration(file.durationSeconds)],
  ];
  if (file.fileType === "video") {
    facts.push(
      ["Picture", pictureWords(file)],
      ["Quality", file.quality === null ? "–" : qualityWords(file.quality)],
      ["Video codec", codecName(file.videoCodec)],
      ["Frames", frameRateWords(file.frameRate)],
    );
  }
  facts.push(["Sound codec", codecName(file.audioCodec)], ["Bit rate", bitrateWords(file.bitrate)]);
  return (
    <section className="card panel" aria-labelledby="details-heading">
      <h2 id="details-heading">Details</h2>
      <dl className="facts-list" data-testid="details">
        {facts.map(([name, value]) => (
          <Fact key={name} name={name} value={value} />
        ))}
        {file.sha256 !== null && (
          <>
            <dt>SHA-256</dt>
            <dd className="hash">{file.sha256}</dd>
          </>
        )}
      </dl>
    </section>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}
