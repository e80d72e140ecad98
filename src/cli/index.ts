#!/usr/bin/env node
/**
 * The command line. Each command imports its modules when it runs, so that --help is printed
 * without delay.
 */
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { manifest } from '../files.ts'
import { addBench } from './bench.ts'
import { addClassify } from './classify.ts'
import { addConvert } from './convert.ts'
import { addDoctor } from './doctor.ts'
import { addEvaluate } from './evaluate.ts'
import { addFeatures } from './features.ts'
import { addInspect } from './inspect.ts'
import { addJobs } from './jobs.ts'
import { addModels } from './models.ts'
import { addPretrain } from './pretrain.ts'
import { addPull } from './pull.ts'
import { exitCodes, outputFailed, report } from './run.ts'
import { addServe } from './serve.ts'
import { addStream } from './stream.ts'
import { printBytes } from './terminal.ts'
import { addTrain } from './train.ts'

/** Returns the program. Reads its version from package.json, which Deno may deny. */
function createProgram(): Command {
  const program = new Command('trecvit')
    .description(
      'Runs TRecViT, a causal recurrent video transformer: names what a video shows, ' +
        'frame by frame.',
    )
    .version((JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version)
    .option('--json', 'write JSON to standard output')
    .option('-q, --quiet', 'no progress, warnings or confirmations')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => printBytes(Buffer.from(text)),
      outputError: (text, write) =>
        write(
          `${text
            .replace(/^error: /, 'trecvit: ')
            .trim()
            .replace(/\s*\n\s*/g, ' ')
            .replace(/ \(Did you mean (.*)\?\)$/, '; did you mean $1?')
            .replace(/\.$/, '')} (--help shows what is possible)\n`,
        ),
    })
    .exitOverride()

  for (const add of [
    addClassify,
    addStream,
    addFeatures,
    addTrain,
    addPretrain,
    addEvaluate,
    addInspect,
    addConvert,
    addPull,
    addModels,
    addServe,
    addJobs,
    addBench,
    addDoctor,
  ])
    add(program)

  program.addHelpText(
    'after',
    `
Examples:
  $ trecvit classify                     # the built-in model on its own clip
  $ trecvit classify clip.mp4 --json
  $ trecvit classify clip.mp4 --model k400   # the 400 actions of Kinetics; asks before the download
  $ trecvit stream clip.mp4
  $ trecvit <command> --help             # more of them

Exit codes:
  ${exitCodes.ok}    done
  ${exitCodes.wrongInput}    the input, the model or an option does not fit, as standard error says;
       of a video that breaks off, the answer, the features or the snapshot so far are written
  ${exitCodes.usage}    the command line cannot be understood
  ${exitCodes.unexpected}   an unexpected error
  ${exitCodes.interrupted}  ended by Ctrl-C, after writing the results so far

Environment:
  TRECVIT_DEBUG   1: device and stack traces; 2: time of each operation;
                  3: each step with shapes and time; 4: the first step that differs from the CPU
  TRECVIT_CACHE   folder of downloaded weights, and of clips and features of trainings
                  (default: the user's cache folder)
  TRECVIT_MIRROR  address of a folder to download weights from
  NO_COLOR        no colours; FORCE_COLOR: colours in pipes too`,
  )
  return program
}

// While a command runs, run.ts has its own listener. This one is for the output of --help.
process.stdout.on('error', (error) => {
  if (process.stdout.listenerCount('error') === 1) process.exit(outputFailed(error))
})
process.stderr.on('error', () => {})
// Errors outside of any await, for example in an event of a child process.
process.on('uncaughtException', (error) => process.exit(report(error)))
// Exit code of Node for a promise that can no longer settle. Node prints no explanation.
process.on('exit', () => {
  if (process.exitCode !== 13) return
  process.exitCode = report(new Error('The command waits for an event that can no longer occur'))
})

try {
  await createProgram().parseAsync()
} catch (error) {
  process.exitCode =
    error instanceof CommanderError
      ? error.exitCode === 0
        ? exitCodes.ok
        : exitCodes.usage
      : report(error)
}
