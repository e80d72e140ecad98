import { readFile } from 'node:fs/promises'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  plugins: [{
    // The same as the bundler's loaders (build.mjs): a .wasm or .safetensors file is its bytes, .wgsl and .txt files are their text.
    name: 'assets',
    enforce: 'pre',
    async load(id) {
      if (/\.(wgsl|txt)$/.test(id)) return `export default ${JSON.stringify(await readFile(id, 'utf8'))}`
      if (!/\.(wasm|safetensors)$/.test(id)) return null
      const base64 = (await readFile(id)).toString('base64')
      return `export default Uint8Array.from(atob(${JSON.stringify(base64)}), (c) => c.charCodeAt(0))`
    },
  }],
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    pool: 'forks',
    // .ci/run counts the tests from the file.
    reporters: process.env['CI'] ? ['default', ['json', { outputFile: 'build/tests.json' }]] : ['default'],
  },
})
