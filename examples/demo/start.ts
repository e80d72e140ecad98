/** Starts the worker of the page. A script of its own, so that it waits for nothing else. */
export const worker = new Worker('worker.js', { type: 'module' })
