// A participant whose pictures and sounds are known, on one clock.
//
// Picture n (30 a second, 640x360) carries n as 16 bars in its top ninth, white for 1, the highest bit
// on the left; below them it is grey, and white for n % 30 in {0, 1, 2}. A 1 kHz beep of 100 ms starts
// with picture 0, 30, 60, ... The audio clock is the master: pictures are drawn when it says so.
"use strict";

const WIDTH = 640, HEIGHT = 360, FPS = 30, BITS = 16;
const BAR_HEIGHT = HEIGHT / 9, BAR_WIDTH = WIDTH / BITS;

class KnownContent {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.canvas.width = WIDTH;
    this.canvas.height = HEIGHT;
    this.paint = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.drawn = []; // every picture number handed to the encoder, in order
    this.lag = Infinity; // performance.now() seconds minus audio seconds, at its least stale
  }

  async start() {
    document.getElementById("stage").append(this.canvas);
    this.audio = new AudioContext({ sampleRate: 48000, latencyHint: "interactive" });
    await this.audio.resume();
    const destination = this.audio.createMediaStreamDestination();
    const beeps = this.audio.createBufferSource();
    beeps.buffer = this.oneSecond();
    beeps.loop = true;
    beeps.connect(destination);
    this.origin = this.audio.currentTime + 0.5;
    beeps.start(this.origin);
    this.soundTrack = destination.stream.getAudioTracks()[0];
    this.pictureTrack = this.canvas.captureStream(0).getVideoTracks()[0];
    this.pictureTrack.contentHint = "motion";
    this.draw(0);
    this.tick();
  }

  oneSecond() {
    const rate = this.audio.sampleRate;
    const buffer = this.audio.createBuffer(1, rate, rate);
    const samples = buffer.getChannelData(0);
    for (let i = 0; i < rate / 10; i++) samples[i] = 0.6 * Math.sin((2 * Math.PI * 1000 * i) / rate);
    return buffer;
  }

  // Seconds on the audio clock now. currentTime moves in steps; its freshest readings give the line.
  now() {
    const performed = performance.now() / 1000;
    this.lag = Math.min(this.lag, performed - this.audio.currentTime);
    return performed - this.lag - this.origin;
  }

  async elapse(seconds) {
    const end = this.now() + seconds;
    while (this.now() < end) await new Promise((next) => setTimeout(next, 10));
  }

  tick() {
    const now = this.now();
    const n = Math.floor(now * FPS);
    if (n >= 0 && n !== this.drawn[this.drawn.length - 1]) {
      this.draw(n);
      this.drawn.push(n);
      this.pictureTrack.requestFrame();
    }
    setTimeout(() => this.tick(), Math.max(0, ((n + 1) / FPS - this.now()) * 1000));
  }

  draw(n) {
    this.paint.fillStyle = n % FPS < 3 ? "#ffffff" : "#505050";
    this.paint.fillRect(0, 0, WIDTH, HEIGHT);
    for (let bit = 0; bit < BITS; bit++) {
      this.paint.fillStyle = (n >> (BITS - 1 - bit)) & 1 ? "#ffffff" : "#101010";
      this.paint.fillRect(bit * BAR_WIDTH, 0, BAR_WIDTH, BAR_HEIGHT);
    }
  }
}

// Reads picture numbers off a remote video as it is shown.
class Watcher {
  constructor(track) {
    this.seen = [];
    this.sizes = [];
    this.video = document.createElement("video");
    Object.assign(this.video, { muted: true, autoplay: true, playsInline: true });
    this.video.srcObject = new MediaStream([track]);
    document.getElementById("stage").append(this.video);
    this.line = new OffscreenCanvas(WIDTH, 1).getContext("2d", { willReadFrequently: true });
    const next = () => {
      this.read();
      this.video.requestVideoFrameCallback(next);
    };
    this.video.requestVideoFrameCallback(next);
    this.video.play();
  }

  read() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (this.sizes.at(-1) !== `${width}x${height}`) this.sizes.push(`${width}x${height}`);
    this.line.drawImage(this.video, 0, height / 18, width, 1, 0, 0, WIDTH, 1);
    const { data } = this.line.getImageData(0, 0, WIDTH, 1);
    let n = 0;
    for (let bit = 0; bit < BITS; bit++) n = n * 2 + (data[4 * ((bit + 0.5) * BAR_WIDTH)] > 128 ? 1 : 0);
    this.seen.push(n);
  }

  close() {
    this.video.remove();
  }
}

const rig = {
  content: null,
  room: null,
  watchers: {}, // identity -> Watcher
  messages: [], // data packets that arrived, [identity, text]
  events: [],
  pair: null, // the loopback connections, when there is no server

  async prepare() {
    this.content = new KnownContent();
    await this.content.start();
    // A sender's first picture must be fresh: Chromium aligns capture times to its own clock by the
    // first pictures it gets, and an old one puts all later timestamps early by its age, for good.
    while (this.content.now() < 0.5) await new Promise((next) => setTimeout(next, 20));
  },

  async join(url, token, { codec = "vp8", simulcast = false, publish = true } = {}) {
    const { Room, RoomEvent } = LivekitClient;
    const room = (this.room = new Room({ adaptiveStream: false, dynacast: false }));
    room.on(RoomEvent.TrackSubscribed, (track, _publication, participant) => {
      if (track.kind === "video") this.watch(participant.identity, track.mediaStreamTrack);
      else document.getElementById("stage").append(track.attach());
    });
    room.on(RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()));
    room.on(RoomEvent.DataReceived, (payload, participant) =>
      this.messages.push([participant?.identity ?? "", new TextDecoder().decode(payload)]));
    room.on(RoomEvent.Disconnected, (reason) => this.events.push(`disconnected:${reason}`));
    room.on(RoomEvent.Reconnecting, () => this.events.push("reconnecting"));
    room.on(RoomEvent.RecordingStatusChanged, (on) => this.events.push(on ? "recording" : "not recording"));
    await room.connect(url, token);
    if (publish) await this.publish(codec, simulcast);
  },

  async publish(codec, simulcast) {
    const { Track } = LivekitClient;
    const single = /^(vp9|av1)$/.test(codec) ? { scalabilityMode: "L1T1" } : {};
    await this.room.localParticipant.publishTrack(this.content.soundTrack, {
      source: Track.Source.Microphone, name: "beeps" });
    await this.room.localParticipant.publishTrack(this.content.pictureTrack, {
      source: Track.Source.Camera, name: "pictures", videoCodec: codec, backupCodec: false, simulcast,
      videoEncoding: { maxBitrate: 1_500_000, maxFramerate: FPS },
      degradationPreference: "maintain-resolution", ...single });
  },

  watch(identity, track) {
    this.watchers[identity]?.close();
    this.watchers[identity] = new Watcher(track);
  },

  // Two connections inside this page: proves the rig without a server.
  async loopback() {
    const [near, far] = (this.pair = [new RTCPeerConnection(), new RTCPeerConnection()]);
    const gathered = (one) => new Promise((done) => {
      one.onicegatheringstatechange = () => one.iceGatheringState === "complete" && done();
    });
    far.ontrack = ({ track, streams }) => {
      if (track.kind === "video") this.watch("loopback", track);
      else {
        const sound = new Audio();
        sound.srcObject = streams[0] ?? new MediaStream([track]);
        sound.play();
      }
    };
    near.addTrack(this.content.soundTrack);
    near.addTrack(this.content.pictureTrack);
    await Promise.all([gathered(near), near.setLocalDescription(await near.createOffer())]);
    await far.setRemoteDescription(near.localDescription);
    await Promise.all([gathered(far), far.setLocalDescription(await far.createAnswer())]);
    await near.setRemoteDescription(far.localDescription);
  },

  async stats() {
    return { ...(await window.rigStats()), drawn: this.content.drawn.length };
  },

  // What the page itself makes of its content: the measure of the source's own offset.
  startLocalFile() {
    const stream = new MediaStream([this.content.pictureTrack, this.content.soundTrack]);
    this.localFile = new MediaRecorder(stream, {
      mimeType: "video/webm;codecs=vp8,opus", videoBitsPerSecond: 1_500_000 });
    this.localBlobs = [];
    this.localFile.ondataavailable = ({ data }) => this.localBlobs.push(data);
    this.localFile.start(500);
  },

  async stopLocalFile() {
    await new Promise((done) => {
      this.localFile.onstop = done;
      this.localFile.stop();
    });
    const bytes = new Uint8Array(await new Blob(this.localBlobs).arrayBuffer());
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(text);
  },
};

window.rig = rig;
