/** The small build has no types of its own; what we use of it is the same as in the full one. */
declare module "hls.js/light" {
  export { default } from "hls.js";
}
