/** y4m. */
import type { Format } from '../format.ts'
import { bytes, type Group, group, latin, text } from '../parts.ts'
import { openDecoderless } from './video.ts'

function clip(header: string, size: number): Group {
  const frames = Array.from({ length: 3 }, () =>
    group('frame', [text('FRAME'), latin('\n'), bytes(new Uint8Array(size))]),
  )
  return group('file', [latin('YUV4MPEG2 '), text(header), latin('\n'), ...frames])
}

export const y4m: Format = {
  name: 'y4m',
  open: openDecoderless,
  seeds: [
    () => clip('W16 H8 F25:1 Ip A1:1 C420jpeg XYSCSS=420JPEG', 192),
    () => clip('W7 H5 F30000:1001 C422p10', 150),
    () => clip('H4 W4 Cmono XCOLORRANGE=FULL', 16),
    // Declares more pixels than the file has.
    () => clip('W4096 H4096 C444p10', 16),
  ],
}
