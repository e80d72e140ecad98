// npm run demo: bundles this page and Teach into dist/demo, as static files for any host. The
// package is resolved as in any application. Needs npm run build.

import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const out = here('../../dist/demo/')

await rm(out, { recursive: true, force: true })
await mkdir(out, { recursive: true })
await build({
  entryPoints: [
    { in: here('start.ts'), out: 'start' },
    { in: here('page.ts'), out: 'page' },
    { in: here('worker.ts'), out: 'worker' },
    { in: here('style.css'), out: 'style' },
    { in: here('../teach/page.ts'), out: 'teach' },
    { in: here('../teach/worker.ts'), out: 'teachWorker' },
    { in: here('../teach/teach.css'), out: 'teach' },
  ],
  outdir: out,
  bundle: true,
  splitting: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  chunkNames: '[name]-[hash]',
  logLevel: 'error',
  alias: {
    'trecvit/train': here('../../dist/train/index.js'),
    'trecvit/video': here('../../dist/video/index.js'),
    'trecvit/motion': here('../../dist/motion.js'),
    trecvit: here('../../dist/index.js'),
  },
  banner: { js: '/* trecvit demo, Apache-2.0 */' },
})
const [page, panels] = await Promise.all(
  ['index.html', 'panels.html'].map((file) => readFile(here(file), 'utf8')),
)
await writeFile(`${out}index.html`, page.replace('<!-- panels.html -->', panels))
await copyFile(here('../teach/teach.html'), `${out}teach.html`)
await copyFile(here('../../models/lake.mp4'), `${out}lake.mp4`)
// FFmpeg, for browsers that give no access to the planes of a picture, if it was built.
for (const file of ['decoder.wasm', 'decoder.LICENSE', 'decoder.NOTICE'])
  if (existsSync(here(`../../dist/${file}`))) await copyFile(here(`../../dist/${file}`), out + file)
await import('./buildCompare.mjs')
