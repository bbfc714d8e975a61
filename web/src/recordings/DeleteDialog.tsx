import { useState } from "react";
import { Dialog } from "../ui/Dialog";

interface DeleteDialogProps {
  room: string;
  onConfirm: () => void;
  onCancel: () => void;
}

export function DeleteDialog({ room, onConfirm, onCancel }: DeleteDialogProps) {
  const [busy, setBusy] = useState(false);
  const confirm = () => {
    setBusy(true);
    onConfirm();
  };
  return (
    <Dialog title="Delete this recording?" onClose={onCancel}>
      <p className="muted">
        All files of this recording of “{room}” are removed from the server. This can’t be undone.
      </p>
      <div className="actions">
        <button type="button" className="button" onClick={onCancel} data-testid="cancel-delete">
          Keep it
        </button>
        <button
          type="button"
          className="button danger"
          disabled={busy}
          onClick={confirm}
          data-testid="confirm-delete"
        >
          {busy && <span className="spinner" />}
          Delete
        </button>
      </div>
    </Dialog>
  );
}
