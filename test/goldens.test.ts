/**
 * Compares whole models with results that were computed in float64 from the official formulas:
 * every array of every golden file.
 */
import { afterAll, describe, expect, test } from 'vitest'
import type { NdArray } from '../src/base/array.ts'
import { frameSizeOf } from '../src/model/config.ts'
import { TRecViT } from '../src/model/trecvit.ts'
import { outputsOf, type Weight } from '../src/program/program.ts'
import type { Outputs, Session } from '../src/stream/session.ts'
import { backends, isNode, tagsOf } from './backends.ts'
import { Goldens, goldenUrl } from './goldens.ts'
import { loadModel, models } from './models.ts'
import { probes } from './probes.ts'
import { ReferenceBackend } from './reference.ts'

type Traced = NdArray<Float32Array>

const reports: string[] = []
afterAll(() => console.log(reports.join('\n')))

/** Part of these tests, in plain JavaScript: one runtime compares it with the golden arrays. */
const reference = {
  name: 'reference',
  create: async (weights: readonly Weight[]) => new ReferenceBackend(weights),
}

describe.each<Pick<(typeof backends)[number], 'name' | 'create'>>([
  ...(isNode ? [reference] : []),
  ...backends,
])('$name', ({ name, create }) => {
  describe.each(models)('$name', async (golden) => {
    const goldens = await Goldens.open(`${golden.name}_io.npz`)
    const model = await loadModel(create, golden.name, golden.given)
    const { config } = model
    const { shape, values } = goldens.get('video')
    const [, frames] = shape as [number, number]
    const video = Uint8Array.from(values)
    const clip = config.framesPerClip
    const pixels = (from: number, to: number) =>
      video.subarray(from * frameSizeOf(config), to * frameSizeOf(config))
    const open = () => model.session({ b: 1, recent: 'all', encoded: true })
    // Each takes seconds: the reference, "mu", and models on a software GPU.
    const isSlow =
      name === 'reference' ||
      golden.name === 'mu' ||
      (!name.startsWith('wasm') && golden.name !== 'small')
    const tags = [...tagsOf({ name }), ...(isSlow ? ['slow'] : [])]
    const seen = (want: string) => goldens.names.includes(want)

    test('every tensor of a clip', { tags }, async () => {
      const parts = new Map<string, { data: Float32Array[]; shape: readonly number[] }>()
      const put = (part: string, data: Float32Array, [, ...rest]: readonly number[]) => {
        const before = parts.get(part)?.data ?? []
        parts.set(part, { data: [...before, data], shape: [before.length + 1, ...rest] })
      }
      for (let from = 0; from < frames; from += clip) {
        const session = open()
        const { outputs } = await session.advance(pixels(from, from + clip), clip, {
          watch: async (step, _, read) => {
            for (const output of outputsOf(step))
              put(output.buffer.name, await read(output), output.shape)
          },
        })
        // The result of a clip is that of its last frame.
        for (const [want, output] of [
          ['pre_logits', 'pre_logits'],
          ['clip_logits', 'logits'],
          ['clip_probs', 'probs'],
        ] as const) {
          put(`last ${want}`, outputs[output]!.slice(-outputs[output]!.length / clip), [1])
        }
        await session.dispose()
      }
      const trace = new Map(
        [...parts].map(([step, { data, shape }]): [string, Traced] => [
          step,
          { data: join(data), shape },
        ]),
      )
      for (const [want, { data, shape }] of [...trace, ...views(trace, config.lruWidth)]) {
        if (seen(want) && want !== 'pre_logits' && want !== 'logits' && want !== 'probs')
          goldens.expect(want, data, shape)
      }
      for (const want of ['pre_logits', 'clip_logits', 'clip_probs'])
        goldens.expect(want, trace.get(`last ${want}`)!.data)
      if (golden.name === 'mu')
        for await (const { name: want, data, shape } of probes(create, config, trace))
          goldens.expect(want, data, shape)
    })

    /** Runs all frames one by one and joins the outputs. Calls `each` after every frame. */
    async function stream(
      reset: number,
      each: (frame: number, session: Session) => Promise<void> = async () => {},
    ): Promise<Outputs> {
      const session = open()
      const all: Outputs[] = []
      for (let frame = 0; frame < frames; frame++) {
        if (frame && frame % reset === 0) await session.reset()
        all.push((await session.advance(pixels(frame, frame + 1), 1)).outputs)
        await each(frame, session)
      }
      await session.dispose()
      return Object.fromEntries(
        Object.keys(all[0]!).map((output) => [
          output,
          join(all.map((outputs) => outputs[output]!)),
        ]),
      )
    }

    test('frame by frame, reset at every clip, and the states in between', { tags }, async () => {
      const outputs = await stream(clip, async (frame, session) => {
        const { values: states } = await session.read()
        session.states.forEach(({ name: state, shape: [, ...rest] }, index) => {
          const [, layer, kind] = /residualblock_(\d+)\/.*(conv_1d|joined)/.exec(state) ?? []
          if (!kind) return
          // The golden arrays store the inputs of the convolution as [b, n, k−1, e], the program as
          // [b, k−1, n, e].
          const data =
            kind === 'conv_1d'
              ? transpose(states[index]!, rest as [number, number, number])
              : states[index]!
          const shape = kind === 'conv_1d' ? [1, rest[1]!, rest[0]!, rest[2]!] : [1, ...rest]
          for (const when of [
            `state_after_frame_${frame}`,
            ...(frame === frames - 1 ? ['final_state'] : []),
          ]) {
            const want = `stream/${when}/${layer}/${kind === 'conv_1d' ? 'conv' : 'h'}`
            if (seen(want)) goldens.expect(want, data, shape)
          }
        })
      })
      const n = model.program({ b: 1, t: 1, pixels: 'u8', recent: 'all', encoded: true }).outputs[
        'encoded'
      ]!.shape[2]!
      goldens.expect('stream/encoded', outputs['encoded']!, [1, frames, n, config.width])
      goldens.expect('stream/frame_features', outputs['frame_features']!)
      goldens.expect('stream/logits', outputs['logits']!)
      goldens.expect('stream/probs', outputs['probs']!)
    })

    if (seen('continuous/logits'))
      test('frame by frame, never reset', { tags }, async () => {
        const outputs = await stream(Infinity)
        for (const output of ['frame_features', 'logits', 'probs'])
          goldens.expect(`continuous/${output}`, outputs[output]!)
      })

    if (name !== 'reference')
      test('the public interface', { tags }, async () => {
        await using model = await TRecViT.load(goldenUrl(`${golden.name}.npz`), {
          config: golden.given,
        })
        const result = await model.forward({ data: video, shape })
        goldens.expect('logits', result.logits.data)
        goldens.expect('probs', result.probs.data)
        goldens.expect('clip_logits', result.clipLogits.data)
        goldens.expect('clip_probs', result.clipProbs.data)
        goldens.expect('pre_logits', result.preLogits.data)
        const { data, shape: features } = await model.features({ data: video, shape })
        goldens.expect('stream/encoded', data, features)
      })

    afterAll(() => {
      expect(goldens.unseen, 'golden arrays that nothing was compared with').toEqual(
        name === 'reference' ? ['logits', 'probs'] : [],
      )
      reports.push(`${name.padEnd(9)} ${goldens.report()}`)
    })
  })
})

test('a deflated checkpoint is the same model', async () => {
  const { shape, values } = (await Goldens.open('mu_io.npz')).get('video')
  const run = async (file: string) => {
    await using model = await TRecViT.load(goldenUrl(file), { config: { framesPerClip: 4 } })
    return {
      fingerprint: model.fingerprint,
      logits: (await model.forward({ data: Uint8Array.from(values), shape })).logits.data,
    }
  }
  expect(await run('mu_deflate.npz')).toEqual(await run('mu.npz'))
})

function join(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0)
  return all
}

/** Returns tensors of the reference that are columns, rows or other names of traced tensors. */
function views(trace: ReadonlyMap<string, Traced>, e: number): [string, Traced][] {
  return [...trace].flatMap(([name, tensor]): [string, Traced][] => {
    const columns = tensor.shape[tensor.shape.length - 1]!
    if (name.endsWith('/linear_yx')) {
      const block = name.slice(0, -'/linear_yx'.length)
      return [
        [`${block}/gelu_y`, columnsOf(tensor, 0, e)],
        [`${block}/linear_x`, columnsOf(tensor, e, e)],
      ]
    }
    if (name.endsWith('/key_value')) {
      const block = name.slice(0, -'/key_value'.length)
      return [
        [`${block}/key`, columnsOf(tensor, 0, columns / 2)],
        [`${block}/value`, columnsOf(tensor, columns / 2, columns / 2)],
      ]
    }
    if (name.endsWith('/after_recurrence'))
      return [[name.replace('after_recurrence', 'out'), tensor]]
    if (name === 'encoded' && !trace.has('decoder/head_input'))
      return [['decoder/head_input', firstTokens(tensor)]]
    return []
  })
}

function columnsOf({ data, shape }: Traced, from: number, count: number): Traced {
  const columns = shape[shape.length - 1]!
  return {
    data: data.filter((_, at) => at % columns >= from && at % columns < from + count),
    shape: [...shape.slice(0, -1), count],
  }
}

function firstTokens({ data, shape: [clips, t, n, d] }: Traced): Traced {
  return { data: data.filter((_, at) => Math.floor(at / d!) % n! === 0), shape: [clips!, t!, d!] }
}

/** [a, b, c] → [b, a, c] */
function transpose(
  values: Float32Array,
  [a, b, c]: readonly [number, number, number],
): Float32Array {
  return values.map(
    (_, at) => values[((Math.floor(at / c) % a) * b + Math.floor(at / (a * c))) * c + (at % c)]!,
  )
}
