import { afterAll, expect, test } from 'vitest'
import { sincos2d, softplus } from '../src/model/math.ts'
import { Goldens } from './goldens.ts'

const functions = await Goldens.open('ops_activation.npz')
const embeddings = await Goldens.open('ops_embed.npz')

test.each(['grid', 'extreme'])('softplus %s', (name) => {
  functions.expect(`${name}/softplus`, functions.get(`${name}/x`).values.map(softplus))
})

test('softplus is good to 1e-14 of itself', () => {
  for (let x = -700; x <= 700; x += 0.37) {
    const want = x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x))
    expect(Math.abs(softplus(x) / want - 1), `softplus(${x})`).toBeLessThan(1e-14)
  }
})

test.each(embeddings.names.filter((name) => name.startsWith('sincos2d')))('%s', (name) => {
  const [rows, columns, d] = name.slice('sincos2d/'.length).split('x').map(Number) as [
    number,
    number,
    number,
  ]
  embeddings.expect(name, sincos2d(rows, columns, d))
})

afterAll(() => {
  expect(embeddings.unseen.filter((name) => name.startsWith('sincos2d'))).toEqual([])
  console.log(`${functions.report()}\n${embeddings.report()}`)
})
