import { Icon, type IconName } from "../ui/Icon";

interface ControlButtonProps {
  testId: string;
  icon: IconName;
  /** What a press does; the accessible name. */
  label: string;
  /** The short word under the icon on wide windows. */
  caption: string;
  look?: "plain" | "off" | "active" | "danger";
  source?: string;
  count?: number;
  expanded?: boolean;
  pending?: boolean;
  ready?: boolean;
  onClick: () => void;
}

export function ControlButton(props: ControlButtonProps) {
  const { testId, icon, label, caption, look = "plain", count = 0, pending = false } = props;
  const waits = pending || props.ready === false;
  const name = count > 0 ? `${label}, ${count} new` : label;
  return (
    <button
      type="button"
      className={`control ${look}`}
      data-testid={testId}
      data-source={props.source}
      aria-label={name}
      aria-expanded={props.expanded}
      aria-busy={pending}
      title={label}
      aria-disabled={waits}
      onClick={waits ? undefined : props.onClick}
    >
      <span className="control-face">
        {pending ? <span className="spinner" /> : <Icon name={icon} />}
        {count > 0 && <span className="control-count">{count > 99 ? "99+" : count}</span>}
      </span>
      <span className="control-caption" aria-hidden="true">
        {caption}
      </span>
    </button>
  );
}
