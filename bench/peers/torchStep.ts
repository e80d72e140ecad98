import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { TrecvitError } from '../../src/base/error.ts'
import { type TensorSource, writeSafetensors } from '../../src/checkpoint/writeSafetensors.ts'
import { parametersOf } from '../../src/model/weights.ts'
import { type PeerStep, pixelsOf, type Training, type TrainingPeer } from './trainingPeer.ts'

/** The Python that Debian's python3-torch is for. */
const PYTHON = '/usr/bin/python3'
/** The bundle of the bench is one folder further down. */
const SCRIPT = fileURLToPath(new URL('../torchStep.py', import.meta.url))

/** Starts a process that makes training steps in PyTorch. */
export async function openTorch(training: Training, threads: number): Promise<TrainingPeer> {
  const { config, learningRate, weightDecay } = training
  const folder = await mkdtemp(join(tmpdir(), 'trecvit-torch-'))
  try {
    const file = join(folder, 'training.safetensors')
    await writeTraining(file, training)
    const child = spawn(
      PYTHON,
      [SCRIPT, file, JSON.stringify(config), ...[threads, learningRate, weightDecay].map(String)],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
        // Its library of products has threads of its own.
        env: { ...process.env, OMP_NUM_THREADS: `${threads}`, OPENBLAS_NUM_THREADS: `${threads}` },
      },
    )
    await once(child, 'spawn')
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const answer = async () => {
      const { value, done } = await lines.next()
      if (done) throw new TrecvitError(`${PYTHON} ${SCRIPT} ended early: install python3-torch`)
      return JSON.parse(value) as unknown
    }
    const { version } = (await answer()) as { version: string }
    return {
      version,
      updates: true,
      step() {
        child.stdin.write('step\n')
        return answer() as Promise<PeerStep>
      },
      dispose: () => void child.stdin.end(),
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Writes the parameters, `frames` [t, H, W, 3] and `label` [1]. */
async function writeTraining(path: string, training: Training): Promise<void> {
  const { config, parameters, frames, label } = training
  const tensor = (
    name: string,
    shape: readonly number[],
    parts: readonly Float32Array[],
  ): TensorSource => ({
    ...{ name, shape, dtype: 'f32' },
    async values(sink) {
      let at = 0
      for (const part of parts) {
        await sink(part, at)
        at += part.length
      }
    },
  })
  const file = await open(path, 'w')
  try {
    await writeSafetensors(
      [
        ...parametersOf(config).map(({ name, shape }) =>
          tensor(name, shape, [parameters.get(name)!]),
        ),
        tensor('frames', [frames.length, ...config.imageSize, 3], frames.map(pixelsOf)),
        tensor('label', [1], [Float32Array.of(label)]),
      ],
      {},
      (bytes) => file.writeFile(bytes),
    )
  } finally {
    await file.close()
  }
}
