// node examples/motion/run.mjs <train | evaluate | scratch | pretrain> [--option value]…: bundles a
// script of this folder and runs it. Build the package first.
import { spawn } from 'node:child_process'
import { bundle } from './bundle.mjs'

const [name, ...args] = process.argv.slice(2)
const script = await bundle(name, 'node')
const child = spawn(process.execPath, [script, ...args], { stdio: 'inherit' })
child.on('exit', (code) => {
  process.exitCode = code ?? 1
})
