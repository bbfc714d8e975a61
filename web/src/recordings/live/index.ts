/** Watching a recording while it runs. */

export { LivePlayer, type LivePlayerProps } from "./LivePlayer";
