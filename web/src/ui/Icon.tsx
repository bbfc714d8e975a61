/** Line icons on a 24 x 24 grid, drawn for this application. Decorative: the text beside them speaks. */

const PATHS = {
  mic: "M12 3.5a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0v-5a3 3 0 0 1 3-3ZM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3",
  micOff:
    "M15 9.5v-3a3 3 0 0 0-5.8-1M9 9v2.5a3 3 0 0 0 4.6 2.5M5.5 11.5a6.5 6.5 0 0 0 10.6 5M18.5 11.5c0 .9-.2 1.8-.5 2.6M12 18v3M4 4l16 16",
  camera:
    "M5.5 6.5h8a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-8a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2ZM15.5 11l5-3v8l-5-3",
  cameraOff:
    "M10 6.5h3.5a2 2 0 0 1 2 2V11l5-3v8l-2-1.2M15.5 15.5a2 2 0 0 1-2 2h-8a2 2 0 0 1-2-2v-7a2 2 0 0 1 1.5-1.9M4 4l16 16",
  screen:
    "M4.5 5h15a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1h-15a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1ZM9 20.5h6M12 14V8.5M9.5 11 12 8.5l2.5 2.5",
  screenOff:
    "M4.5 5h15a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1h-15a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1ZM9 20.5h6M10 9l4 4M14 9l-4 4",
  chat: "M5.5 5h13a2 2 0 0 1 2 2v7.5a2 2 0 0 1-2 2H11l-4.5 3.5v-3.5h-1a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2ZM8 9.5h8M8 12.5h5",
  people:
    "M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 19.5a6.5 6.5 0 0 1 13 0M16 4.9a3.5 3.5 0 0 1 0 6.2M18.5 14.5a6.5 6.5 0 0 1 3 5",
  leave: "M10 20H6a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2h4M15 16l4-4-4-4M19 12H9.5",
  link: "M10 13.5a4 4 0 0 0 5.7 0l3-3a4 4 0 1 0-5.7-5.7l-1 1M14 10.5a4 4 0 0 0-5.7 0l-3 3a4 4 0 1 0 5.7 5.7l1-1",
  copy: "M9.5 8.5h9a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-9a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1ZM15.5 5.5v-.5a1 1 0 0 0-1-1h-9a1 1 0 0 0-1 1v9a1 1 0 0 0 1 1h.5",
  check: "M5 12.5l4.5 4.5L19 7.5",
  laptop: "M6 5.5h12a1 1 0 0 1 1 1v9H5v-9a1 1 0 0 1 1-1ZM2.5 18.5h19",
  close: "M6 6l12 12M18 6 6 18",
  alert:
    "M12 8.5v4.5M12 16.5v.1M10.3 4.5 3.4 17a2 2 0 0 0 1.7 3h13.8a2 2 0 0 0 1.7-3L13.7 4.5a2 2 0 0 0-3.4 0Z",
  info: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM12 11v5.5M12 7.7v.1",
  play: "M8 5.5v13l10.5-6.5Z",
  download: "M12 4v11M7.5 11 12 15.5 16.5 11M4.5 19.5h15",
  tag: "M4.5 5.5v6L13 20l7-7-8.5-8.5h-6a1 1 0 0 0-1 1ZM8.5 8.5v.1",
  trash:
    "M4.5 7h15M9.5 7V5a1 1 0 0 1 1-1h3a1 1 0 0 1 1 1v2M6.5 7l.8 12a1.5 1.5 0 0 0 1.5 1.5h6.4a1.5 1.5 0 0 0 1.5-1.5l.8-12M10 11v6M14 11v6",
  send: "M4.5 12h8M4.5 4.5 20 12 4.5 19.5l2.2-7.5Z",
  film: "M5 4.5h14a1.5 1.5 0 0 1 1.5 1.5v12a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 18V6A1.5 1.5 0 0 1 5 4.5ZM8 4.5v15M16 4.5v15M3.5 12h17M3.5 8.2H8M3.5 15.8H8M16 8.2h4.5M16 15.8h4.5",
  sound: "M4.5 9.5v5h3.5l4.5 4v-13l-4.5 4ZM16 9a4.2 4.2 0 0 1 0 6M18.5 6.5a7.7 7.7 0 0 1 0 11",
  plus: "M12 5v14M5 12h14",
  pause: "M8.5 5.5v13M15.5 5.5v13",
  back: "M11.5 6.5 5 12l6.5 5.5ZM19 6.5 12.5 12l6.5 5.5Z",
  forward: "M12.5 6.5 19 12l-6.5 5.5ZM5 6.5 11.5 12 5 17.5Z",
  soundOff: "M4.5 9.5v5h3.5l4.5 4v-13l-4.5 4ZM16 9.5l5 5M21 9.5l-5 5",
  expand: "M4.5 9V4.5H9M15 4.5h4.5V9M19.5 15v4.5H15M9 19.5H4.5V15",
  shrink: "M9 4.5V9H4.5M19.5 9H15V4.5M15 19.5V15h4.5M4.5 15H9v4.5",
  left: "M14.5 6 8.5 12l6 6",
  up: "M6 14.5l6-6 6 6",
  settings:
    "M4.5 7.5h8M17.5 7.5h2M4.5 16.5h2M11.5 16.5h8M15 10a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM9 19a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z",
  upload: "M12 16V5M7.5 9.5 12 5l4.5 4.5M4.5 19.5h15",
  again: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3l2.2 2.2M19.5 4v5h-5",
  pencil: "M4.5 19.5l.8-4L16 4.8a1.6 1.6 0 0 1 2.3 0l.9.9a1.6 1.6 0 0 1 0 2.3L8.5 18.7ZM14 7l3 3",
  grid: "M5 4.5h5.5V11H5ZM13.5 4.5H19V11h-5.5ZM5 14h5.5v5.5H5ZM13.5 14H19v5.5h-5.5Z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg
      className="icon"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.75"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
