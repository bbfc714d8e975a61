import { RoomAudioRenderer, RoomContext, useChat } from "@livekit/components-react";
import type { Room } from "livekit-client";
import { useCallback, useEffect, useRef, useState } from "react";
import type { Explained } from "../explain";
import { canHost, type Seat } from "../session";
import { Notice } from "../ui/Notice";
import { CallHeader } from "./CallHeader";
import { Chat } from "./Chat";
import { ConnectionBanner } from "./ConnectionBanner";
import { Controls } from "./Controls";
import { CHAT_OPTIONS } from "./chatCodec";
import { useNotices } from "./notices";
import { SoundGate } from "./SoundGate";
import { Stage } from "./Stage";
import { type CallPhase, useCall } from "./useCall";
import { useLocalCopy } from "./useLocalCopy";
import { useRecordingNews } from "./useRecordingNews";

interface CallProps {
  seat: Seat;
  /** `why` is null when the person left on purpose. */
  onEnd: (why: Explained | null) => void;
}

export function Call({ seat, onEnd }: CallProps) {
  const news = useNotices();
  const { add } = news;
  const onProblem = useCallback((what: Explained) => add("error", what), [add]);
  const { room, phase, tryNow } = useCall(seat, onProblem);
  const end = useRef(onEnd);
  end.current = onEnd;
  useEffect(() => {
    if (phase.kind === "over") end.current(phase.why);
  }, [phase]);
  const leave = useCallback(() => end.current(null), []);

  if (room === null) return <main className="call" aria-busy="true" />;
  return (
    <RoomContext.Provider value={room}>
      <InCall {...{ room, seat, phase, news, tryNow, leave, onProblem }} />
    </RoomContext.Provider>
  );
}

interface InCallProps {
  room: Room;
  seat: Seat;
  phase: CallPhase;
  news: ReturnType<typeof useNotices>;
  tryNow: () => void;
  leave: () => void;
  onProblem: (what: Explained) => void;
}

function InCall({ room, seat, phase, news, tryNow, leave, onProblem }: InCallProps) {
  const chat = useChat(CHAT_OPTIONS);
  const [chatOpen, setChatOpen] = useState(false);
  const [seen, setSeen] = useState(0);
  const messages = chat.chatMessages;
  const host = canHost(seat);
  const connected = phase.kind === "connected";
  useRecordingNews(room, connected, news.add);
  const copy = useLocalCopy(room, seat, connected, news.add);
  useEffect(() => {
    if (chatOpen) setSeen(messages.length);
  }, [chatOpen, messages.length]);

  return (
    <main className="call" data-phase={phase.kind} data-testid="call">
      <CallHeader room={room} name={seat.room} host={host} copy={copy} />
      <ConnectionBanner phase={phase} onTryNow={tryNow} />
      <div className="call-body">
        <Stage />
        {chatOpen && (
          <Chat
            messages={messages}
            send={chat.send}
            isSending={chat.isSending}
            onClose={() => setChatOpen(false)}
          />
        )}
        <div className="call-notices">
          <SoundGate room={room} />
          {news.notices.map(({ id, tone, what }) => (
            <Notice key={id} tone={tone} what={what} onDismiss={() => news.dismiss(id)} />
          ))}
        </div>
      </div>
      <Controls
        room={room}
        name={seat.room}
        ready={phase.kind === "connected" || phase.kind === "reconnecting"}
        host={host}
        copy={copy}
        unread={chatOpen ? 0 : Math.max(0, messages.length - seen)}
        chatOpen={chatOpen}
        onChat={() => setChatOpen((open) => !open)}
        onLeave={leave}
        onProblem={onProblem}
      />
      <RoomAudioRenderer />
    </main>
  );
}
