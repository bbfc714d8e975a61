import type { ReceivedChatMessage } from "@livekit/components-react";
import { type SubmitEvent, type KeyboardEvent, useEffect, useRef, useState } from "react";
import { Icon } from "../ui/Icon";
import { displayName } from "./hooks";

interface ChatProps {
  messages: ReceivedChatMessage[];
  send: ((message: string) => Promise<unknown>) | undefined;
  isSending: boolean;
  onClose: () => void;
}

export function Chat({ messages, send, isSending, onClose }: ChatProps) {
  const [text, setText] = useState("");
  const [failed, setFailed] = useState(false);
  const list = useRef<HTMLDivElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const shown = messages.filter((message) => message.message !== "");

  useEffect(() => field.current?.focus(), []);
  // `shown.length`: scrolls down when a message is added.
  useEffect(() => {
    const element = list.current;
    if (element !== null) element.scrollTop = element.scrollHeight;
  }, [shown.length]);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const message = text.trim();
    if (message === "" || send === undefined) return;
    setFailed(false);
    try {
      await send(message);
      setText("");
    } catch {
      setFailed(true);
    }
    field.current?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === "Escape") onClose();
  };

  return (
    <aside className="chat" aria-label="Chat">
      <div className="panel-head">
        <h2>Chat</h2>
        <button type="button" className="button quiet icon-only small" onClick={onClose}>
          <Icon name="close" />
          <span className="visually-hidden">Close chat</span>
        </button>
      </div>
      <div ref={list} className="messages" role="log" aria-live="polite" aria-label="Messages">
        {shown.length === 0 ? (
          <p className="chat-empty muted">
            Messages reach everyone who is in the call now. They are not kept afterwards.
          </p>
        ) : (
          <ul>
            {shown.map((message, index) => (
              <Message key={message.id || index} message={message} />
            ))}
          </ul>
        )}
      </div>
      {failed && (
        <p className="chat-failed" role="alert">
          Not sent. Check your connection, then send again.
        </p>
      )}
      <form className="chat-form" onSubmit={submit}>
        <input
          ref={field}
          onKeyDown={onKey}
          className="input"
          data-testid="chat-input"
          aria-label="Message"
          placeholder="Write a message"
          autoComplete="off"
          maxLength={4000}
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <button
          type="submit"
          className="button primary icon-only"
          data-testid="chat-send"
          disabled={isSending || send === undefined}
        >
          <Icon name="send" />
          <span className="visually-hidden">Send</span>
        </button>
      </form>
    </aside>
  );
}

function Message({ message }: { message: ReceivedChatMessage }) {
  const mine = message.from?.isLocal === true;
  const time = new Date(message.timestamp);
  return (
    <li className={`message ${mine ? "mine" : ""}`} data-testid="chat-message">
      <div className="message-head">
        <strong className="truncate">
          {mine ? "You" : message.from ? displayName(message.from) : "Someone"}
        </strong>
        <time dateTime={time.toISOString()}>
          {time.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })}
        </time>
      </div>
      <p>{message.message}</p>
    </li>
  );
}
