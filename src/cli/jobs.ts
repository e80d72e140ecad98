/**
 * trecvit jobs: classifies an archive with many machines, over a queue in Redis.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { CollectOptions } from './jobs/collect.ts'
import type { Address } from './jobs/metrics.ts'
import type { StatusOptions } from './jobs/status.ts'
import type { SubmitOptions } from './jobs/submit.ts'
import type { ArchiveOptions } from './jobs/types.ts'
import type { WorkOptions } from './jobs/work.ts'
import {
  addConfigOptions,
  addFormatOptions,
  addMachineOptions,
  addVideoOptions,
  integer,
  MODEL_HELP,
  positive,
} from './options.ts'
import { needPackages } from './packages.ts'
import { action, type GlobalOptions } from './run.ts'

/** Optional peer dependencies of these commands. */
const PACKAGES = ['bullmq', 'ioredis'] as const

export function addJobs(program: Command): void {
  const jobs = program
    .command('jobs')
    .summary('work on an archive with many machines')
    .description(
      'Classifies an archive of videos with workers on any number of machines. ' +
        'They share a queue in Redis.',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ export TRECVIT_QUEUE=redis://localhost:6379
  $ trecvit jobs submit clips/                      # one job for each video
  $ trecvit jobs work                               # on each machine, as often as wanted
  $ trecvit jobs status --watch
  $ trecvit jobs collect > results.jsonl`,
    )
  addSubmit(jobs)
  addWork(jobs)
  addQueueOptions(
    jobs
      .command('status')
      .summary('show the progress')
      .description('Shows how many jobs wait, run, are done and have failed, over all workers.')
      .option('--watch', 'follow the progress until no job is left'),
  ).action(
    ready<StatusOptions>(async (_, options, signal) =>
      (await import('./jobs/status.ts')).status(options, signal),
    ),
  )
  addQueueOptions(
    jobs
      .command('collect')
      .summary('write the results')
      .description(
        'Writes the results in the order of the names of the videos, as rows of "trecvit ' +
          'classify" or "trecvit features". They stay in Redis.',
      )
      .option('--jsonl <file>', 'a line of JSON for each video (default: "-", standard output)')
      .option('--csv <file>', 'the same as CSV')
      .option('--segments', 'a row for each segment of the timeline'),
  ).action(
    ready<CollectOptions>(async (_, options, signal) =>
      (await import('./jobs/collect.ts')).collect(options, signal),
    ),
  )
  addQueueOptions(
    jobs
      .command('failed')
      .summary('list the videos that have failed')
      .description('Lists the videos that have failed at every attempt, each with the reason.'),
  ).action(
    ready<ArchiveOptions & GlobalOptions>(async (_, options) =>
      (await import('./jobs/failed.ts')).failed(options),
    ),
  )
  addQueueOptions(
    jobs
      .command('retry')
      .summary('let the failed videos wait again')
      .description('Lets the videos that have failed wait again.'),
  ).action(
    ready<ArchiveOptions & GlobalOptions>(async (_, options) =>
      (await import('./jobs/failed.ts')).retry(options),
    ),
  )
  addQueueOptions(
    jobs
      .command('clear')
      .summary('remove all jobs and results')
      .description('Removes all jobs and results of a queue from Redis.'),
  ).action(
    ready<ArchiveOptions & GlobalOptions>(async (_, options) =>
      (await import('./jobs/failed.ts')).clear(options),
    ),
  )
}

function addSubmit(jobs: Command): void {
  const command = jobs
    .command('submit')
    .argument(
      '[videos...]',
      'paths, folders, patterns like "clips/*.mp4", URLs, or "-" for a list on standard input',
    )
    .summary('add a job for each video')
    .description(
      'Adds a job for each video. A video that has a job or a result for the same content, ' +
        'model and options gets none. Workers read the videos by their absolute paths.',
    )
    .addOption(
      new Option('--task <name>', 'what the jobs compute')
        .choices(['classify', 'features', 'evaluate'])
        .default('classify'),
    )
    .option('-m, --model <source>', MODEL_HELP, 'builtin')
  addFormatOptions(addConfigOptions(command))
    .option('--list <file>', 'a text file with more videos, one per line; "-" for standard input')
    .option('-k, --top-k <n>', 'classes of each result (default: 5)', integer(1))
    .option(
      '--window <n>',
      'frames that each answer of the timeline covers (default: half a clip of the model)',
      integer(1, 4096),
    )
    .option('--clips <n>', 'mean over so many clips, spread over the video', integer(1))
    .addOption(new Option('--views <n>', 'mean over 1 or 3 crops of each clip').choices(['1', '3']))
    .addOption(
      new Option(
        '--protocol <name>',
        'paper: the defaults become --clips 4 --views 3 --stride 2 --fps 25',
      ).choices(['paper']),
    )
    .option('-o, --output <file>', 'file of features for each video, with {name}: out/{name}.npy')
    .addOption(
      new Option(
        '--pool <how>',
        'one vector a frame: the class token (tok), or the mean over the patches (gap)',
      ).choices(['tok', 'gap']),
    )
    .option(
      '--independent-segments <s>',
      'cut each video into parts of so many seconds, each with a job and a result of its own; ' +
        'the model forgets what it has seen at each cut',
      positive,
    )
    .option('--priority <n>', 'jobs with a lower number come first; 0 before all', integer(0, 2e6))
    .option('--wait', 'show the progress until no job is left')
  addVideoOptions(addQueueOptions(command))
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit jobs submit clips/ --queue redis://localhost:6379
  $ trecvit jobs submit clips/ --task features -o '/data/features/{name}.npy' --pool gap
  $ trecvit jobs submit val.csv --task evaluate --model k400 --protocol paper
  $ find /data -name '*.mp4' | trecvit jobs submit - --wait`,
    )
    .action(
      ready<SubmitOptions, [string[]]>(async ([videos], options, signal) =>
        (await import('./jobs/submit.ts')).submit(videos, options, signal),
      ),
    )
}

function addWork(jobs: Command): void {
  const command = jobs
    .command('work')
    .summary('compute jobs')
    .description(
      'Computes jobs until Ctrl-C or SIGTERM. It then gives back what it has begun, with its ' +
        'state, and ends within seconds. Task, model and options come with the jobs.',
    )
    .option('-m, --model <source>', 'where this machine has the model (default: as submitted)')
    .option('--jobs <n>', 'videos at a time', integer(1, 64), 2)
    .option(
      '--lease <s>',
      'seconds after which another worker takes the jobs of one that has died',
      integer(1, 3600),
      10,
    )
    .option('--drain', 'end when no job is left')
    .option(
      '--metrics <[host:]port>',
      'serve /metrics for Prometheus there (default host: 127.0.0.1)',
      address,
    )
    .option('-y, --yes', 'download weights that have a name without asking')
  addMachineOptions(addQueueOptions(command))
    .addHelpText(
      'after',
      `
Examples:
  $ trecvit jobs work --queue redis://:password@queue.example.com:6379
  $ trecvit jobs work --device auto --jobs 4
  $ trecvit jobs work --threads 4 --drain`,
    )
    .action(
      ready<WorkOptions>(async (_, options, signal) =>
        (await import('./jobs/work.ts')).work(options, signal),
      ),
    )
}

/** Adds --queue and --name. */
function addQueueOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--queue <url>',
        'address of Redis, like redis://:password@host:6379; other users of this machine can ' +
          'read arguments, so prefer the variable',
      )
        .env('TRECVIT_QUEUE')
        .makeOptionMandatory(),
    )
    .option('--name <name>', 'name of the queue', queueName, 'videos')
}

function address(text: string): Address {
  const [, host = '127.0.0.1', port] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? []
  if (port === undefined || Number(port) > 65535)
    throw new InvalidArgumentError('Expected a port, or host:port, like 9100 or 0.0.0.0:9100.')
  return { host, port: Number(port) }
}

function queueName(text: string): string {
  if (/^[\w.-]{1,100}$/.test(text)) return text
  throw new InvalidArgumentError('Expected letters, digits and any of -._')
}

/** Returns an action that checks the packages and the address of Redis first. */
function ready<
  Options extends ArchiveOptions & GlobalOptions,
  Args extends readonly unknown[] = readonly (string | undefined)[],
>(
  work: (args: Args, options: Options, signal: AbortSignal) => Promise<void>,
): (...parameters: unknown[]) => Promise<void> {
  return action<Options, Args>(async (args, options, signal) => {
    await needPackages('jobs', PACKAGES)
    const { checkRedisUrl } = await import('./redis.ts')
    checkRedisUrl('--queue', options.queue)
    await work(args, options, signal)
  })
}
