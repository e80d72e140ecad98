/**
 * Files that ship with the package. This file lies at the same depth in src/ and dist/, so that the addresses hold in both.
 */

/** The built-in model: a small TRecViT that names the camera's motion (ten classes). */
export const builtin: URL = shipped(() => new URL('../models/motion.safetensors', import.meta.url))

/** A short clip for it: 13 seconds in which the camera does nine things. */
export const sampleClip: URL = shipped(() => new URL('../models/tour.mp4', import.meta.url))

/** What the package says about itself. */
export const manifest: URL = shipped(() => new URL('../package.json', import.meta.url))

/** Bundlers know `new URL(…, import.meta.url)` by its form. workerd has no addresses: there such a file cannot be read, but the rest runs. */
function shipped(address: () => URL): URL {
  try {
    return address()
  } catch {
    return new URL('file:///trecvit/is-bundled-without-its-files')
  }
}
