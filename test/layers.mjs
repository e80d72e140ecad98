/**
 * Checks the imports of src/: a file imports only its own layer and those before it in the table of
 * docs/architecture.md, and no import is part of a cycle. Imports of types count.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const guide = readFileSync('docs/architecture.md', 'utf8')
const order = [...guide.matchAll(/^\| `(\w+)`/gm)].map(([, layer]) => layer)
/** Place of a file in the order; files directly in src/ belong to no layer. */
const placeOf = (file) => order.indexOf(file.split('/')[1])

const files = readdirSync('src', { recursive: true })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => join('src', file).replaceAll('\\', '/'))
const imports = new Map(
  files.map((file) => [
    file,
    [...readFileSync(file, 'utf8').matchAll(/(?:\bfrom|\bimport\(|^import) '(\.[^']+\.ts)'/gm)].map(
      ([, path]) => join(dirname(file), path).replaceAll('\\', '/'),
    ),
  ]),
)

const faults = []
for (const [file, targets] of imports) {
  const place = placeOf(file)
  if (file.split('/').length > 2 && place < 0) faults.push(`${file} is in no layer of ${order}`)
  for (const target of targets) {
    const isUp = place >= 0 && (placeOf(target) > place || target === 'src/index.ts')
    if (isUp) faults.push(`${file} imports ${target}, which stands after it in the order of layers`)
  }
}

/** Files whose imports lead to no cycle. */
const done = new Set()
function follow(file, path) {
  if (done.has(file)) return
  const start = path.indexOf(file)
  if (start >= 0) return faults.push(`cycle: ${[...path.slice(start), file].join(' → ')}`)
  for (const target of imports.get(file) ?? []) follow(target, [...path, file])
  done.add(file)
}
for (const file of files) follow(file, [])

for (const fault of faults) console.error(fault)
process.exitCode = faults.length ? 1 : 0
