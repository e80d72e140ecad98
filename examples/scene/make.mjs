// node examples/scene/make.mjs [--quick]: renders the sample clip of the demo, models/lake.mp4: a
// lake in the mountains, and a camera that pans, tilts, zooms, rolls and shakes. Needs ffmpeg and
// some minutes. The camera only turns and zooms, so the scene is rendered once, as a panorama.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { FPS, poses } from './moves.mjs'
import { drawPanorama } from './panorama.mjs'
import { takePicture } from './picture.mjs'

const [WIDTH, HEIGHT] = [480, 270]
/** Pixels of the panorama per degree. */
const DENSITY = process.argv.includes('--quick') ? 5 : 14

const panorama = drawPanorama(DENSITY, (done) => {
  process.stderr.write(`\rpanorama ${Math.round(100 * done)} %`)
})
const ffmpeg = spawn(
  'ffmpeg',
  [
    ...['-y', '-loglevel', 'error', '-f', 'rawvideo', '-pix_fmt', 'rgb24'],
    ...['-s', `${WIDTH}x${HEIGHT}`, '-r', String(FPS), '-i', '-'],
    ...['-vf', 'scale=out_color_matrix=bt709', '-colorspace', 'bt709', '-color_primaries', 'bt709'],
    ...['-color_trc', 'bt709', '-pix_fmt', 'yuv420p', '-c:v', 'libx264', '-preset', 'veryslow'],
    ...['-crf', '28', '-g', '120', '-movflags', '+faststart'],
    fileURLToPath(new URL('../../models/lake.mp4', import.meta.url)),
  ],
  { stdio: ['pipe', 'inherit', 'inherit'] },
)
for (const [index, pose] of poses.entries()) {
  const picture = takePicture(panorama, pose, WIDTH, HEIGHT)
  if (!ffmpeg.stdin.write(picture)) await once(ffmpeg.stdin, 'drain')
  process.stderr.write(`\rframe ${index + 1} of ${poses.length}  `)
}
ffmpeg.stdin.end()
const [code] = await once(ffmpeg, 'exit')
process.stderr.write('\n')
process.exitCode = code
