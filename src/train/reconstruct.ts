import { type Config, gridOf } from '../model/config.ts'
import { EPSILON, statisticsOf } from './maskedBatch.ts'

/** Grey of a hidden patch. */
const HIDDEN = 128

/**
 * Draws frames with hidden patches, and with predicted ones. A prediction is normalised, so each
 * colour of a patch has the mean and the deviation of the original.
 * @param pixels [b, t, H, W, 3]
 * @param prediction [b, t, g, p·p·3]
 * @param masked 1 for hidden patches, else 0: [b, t, g]
 */
export function drawReconstruction(
  config: Config,
  pixels: Uint8Array,
  prediction: Float32Array,
  masked: Float32Array,
): { masked: Uint8Array; reconstruction: Uint8Array } {
  const [height, width] = config.imageSize
  const [py, px] = config.patchSize
  const [gridRows, gridColumns] = gridOf(config)
  const hidden = pixels.slice()
  const predicted = pixels.slice()
  const [g, n] = [gridRows * gridColumns, py * px]
  for (const [patch, isHidden] of masked.entries()) {
    if (!isHidden) continue
    const frame = Math.floor(patch / g)
    const row = Math.floor((patch % g) / gridColumns)
    const first = ((frame * height + row * py) * width + (patch % gridColumns) * px) * 3
    for (let colour = 0; colour < 3; colour++) {
      const placeOf = (i: number) => first + colour + (Math.floor(i / px) * width + (i % px)) * 3
      const { sum, deviation } = statisticsOf(n, (i) => pixels[placeOf(i)]!)
      for (let i = 0; i < n; i++) {
        const value = prediction[(patch * n + i) * 3 + colour]!
        hidden[placeOf(i)] = HIDDEN
        predicted[placeOf(i)] = level(sum / n + 255 * value * (deviation + EPSILON))
      }
    }
  }
  return { masked: hidden, reconstruction: predicted }
}

function level(value: number): number {
  return value <= 0 ? 0 : value >= 255 ? 255 : Math.floor(value + 0.5)
}
