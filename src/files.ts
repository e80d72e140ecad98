/**
 * Files that ship with the package, for the command line. This file lies at the same depth in src/
 * and dist/ (build.mjs), so that the addresses hold in both.
 */

/** A short clip for the built-in model: 13 seconds in which the camera does nine things. */
export const sampleClip: URL = new URL('../models/tour.mp4', import.meta.url)

/** package.json. */
export const manifest: URL = new URL('../package.json', import.meta.url)

/** The folder of the demo page, which need not have been built. */
export const demoPage: URL = new URL('../dist/demo/', import.meta.url)

/** The package as programs import it; only where it was built. */
export const library: URL = new URL('../dist/index.js', import.meta.url)

/** The worker of `trecvit serve`; only where it was built. */
export const serveWorker: URL = new URL('../dist/cli/serveWorker.js', import.meta.url)

/** The threads that compute for `trecvit serve`; only where it was built. */
export const computeWorker: URL = new URL('../dist/cli/computeWorker.js', import.meta.url)
