// Runs before any page's own code: remembers every peer connection, and sums up what getStats says.
"use strict";
{
  const made = [];
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(...configuration) {
      super(...configuration);
      made.push(this);
    }
  };

  // The fields that tests judge, summed over the streams of one kind and direction.
  const FIELDS = {
    "outbound-rtp": ["outbound", ["framesEncoded", "framesSent", "packetsSent", "bytesSent", "pliCount",
      "nackCount", "keyFramesEncoded"]],
    "inbound-rtp": ["inbound", ["framesDecoded", "framesReceived", "packetsReceived", "packetsLost",
      "bytesReceived", "totalAudioEnergy", "freezeCount", "pliCount", "nackCount"]],
    "media-source": ["source", ["totalAudioEnergy", "frames"]],
    "remote-inbound-rtp": ["remote", ["packetsLost"]],
  };

  window.rigStats = async () => {
    const summary = { at: performance.now() / 1000, outbound: {}, inbound: {}, source: {}, remote: {} };
    for (const connection of made.filter((one) => one.connectionState === "connected")) {
      const reports = await connection.getStats();
      for (const report of reports.values()) {
        if (!FIELDS[report.type]) continue;
        const [side, fields] = FIELDS[report.type];
        const into = (summary[side][report.kind] ??= { streams: 0, codec: "", width: 0, height: 0 });
        into.streams += 1;
        into.codec = reports.get(report.codecId)?.mimeType ?? into.codec;
        into.width = Math.max(into.width, report.frameWidth ?? 0);
        into.height = Math.max(into.height, report.frameHeight ?? 0);
        for (const field of fields) into[field] = (into[field] ?? 0) + (report[field] ?? 0);
      }
    }
    return summary;
  };
}
