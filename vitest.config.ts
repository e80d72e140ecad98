import { readFile } from 'node:fs/promises'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  plugins: [{
    // The same as the bundler's binary loader (build.mjs): a .wasm file is its bytes.
    name: 'wasm-bytes',
    enforce: 'pre',
    async load(id) {
      if (!id.endsWith('.wasm')) return null
      const base64 = (await readFile(id)).toString('base64')
      return `export default Uint8Array.from(atob(${JSON.stringify(base64)}), (c) => c.charCodeAt(0))`
    },
  }],
  test: { include: ['test/**/*.test.ts'], testTimeout: 60_000, pool: 'forks' },
})
