#!/bin/sh
# Makes the clips of this folder and planes.json: the sha256 of every picture's planes as ffmpeg
# decodes them. Needs ffmpeg with libx264, libx265, libvpx, libaom and aac, ffprobe and node. Run in
# this folder, without arguments. An encoder of another version makes other bytes: commit clips and
# planes.json together.
set -eu
ff() { ffmpeg -hide_banner -loglevel error -y "$@"; }
clip() {
  size=$1 seconds=$2
  shift 2
  ff -f lavfi -i "testsrc2=size=$size:rate=10:duration=$seconds" "$@"
}
bt709="-colorspace bt709 -color_primaries bt709 -color_trc bt709"
hevc="-c:v libx265 -x265-params log-level=none -crf 34 -tag:v hvc1"

clip 160x120 1 -pix_fmt yuv420p -c:v libx264 -crf 32 h264.mp4
clip 128x96 0.6 -pix_fmt yuv420p -color_range pc $bt709 \
  -vf scale=out_color_matrix=bt709:out_range=pc -c:v libx264 -crf 32 full709.mp4
clip 128x96 0.6 -pix_fmt yuv420p -color_range pc -vf scale=out_range=pc \
  -c:v libx264 -crf 32 full.mp4
clip 128x96 0.6 -pix_fmt yuv420p $bt709 -vf scale=out_color_matrix=bt709 \
  -c:v libx264 -crf 32 bt709.mp4
clip 128x96 0.6 -pix_fmt yuv420p10le -c:v libx264 -crf 32 ten.mp4
clip 128x96 0.6 -pix_fmt yuv422p10le -c:v libx264 -crf 34 ten422.mp4
clip 128x96 0.6 -pix_fmt yuv444p -c:v libx264 -crf 34 yuv444.mp4
ff -f lavfi -i testsrc=size=97x73:rate=10:duration=0.6 -pix_fmt yuv444p \
  -c:v libx264 -crf 34 odd444.mp4
clip 96x64 0.4 -c:v libx264rgb -crf 34 rgb.mp4
clip 128x96 0.6 -pix_fmt yuv420p10le $hevc hevc10.mp4
ff -f lavfi -i testsrc=size=321x241:rate=10:duration=0.8 -pix_fmt yuv420p \
  -c:v libvpx-vp9 -b:v 60k odd.webm
ff -f lavfi -i testsrc=size=97x73:rate=10:duration=0.6 -pix_fmt gray \
  -c:v libaom-av1 -cpu-used 8 -crf 40 gray.mp4
# More than 10 bits, grey of more than 8, 4:4:0, RGB and alpha, which few decoders hand out.
clip 160x120 0.4 -pix_fmt gray10le $hevc gray10.mp4
clip 96x64 0.4 -pix_fmt yuv422p12le $hevc twelve422.mp4
clip 97x65 0.4 -pix_fmt gbrp12le $hevc rgb12.mp4
clip 96x64 0.4 -pix_fmt gray12le -c:v libaom-av1 -cpu-used 8 -crf 40 gray12.mp4
clip 97x65 0.4 -pix_fmt yuv420p12le -c:v libvpx-vp9 -b:v 40k twelve.webm
clip 97x65 0.4 -pix_fmt yuv440p -c:v libvpx-vp9 -b:v 40k four40.webm
clip 64x48 0.2 -pix_fmt yuva444p10le -c:v prores_ks -q:v 20 alpha.mov
# VP8 with frames that are never shown: they need two passes.
for pass in 1 2; do
  clip 96x64 3 -pix_fmt yuv420p -c:v libvpx -b:v 40k -auto-alt-ref 1 -lag-in-frames 16 \
    -pass $pass -passlogfile vp8 -f webm vp8.webm
done
rm -f vp8-0.log
# A phone held upright: stored lying, turned by its matrix.
ff -i h264.mp4 -c copy -metadata:s:v rotate=270 rotated.mp4
# Begins inside a group of pictures: an edit list hides the frames before.
ff -i h264.mp4 -c copy -f mp4 whole.mp4 && ff -ss 0.45 -i whole.mp4 -c copy cut.mp4 && rm whole.mp4
ff -f lavfi -i testsrc2=size=96x64:rate=20:duration=1 -pix_fmt yuv420p \
  -vf "select='not(mod(n,3))+lt(n,6)'" -vsync vfr -c:v libx264 -crf 34 vfr.mp4
# Changes its size in the middle.
clip 96x64 0.4 -c:v libvpx -b:v 40k wide.webm && clip 64x96 0.4 -c:v libvpx -b:v 40k high.webm
printf 'file wide.webm\nfile high.webm\n' > list.txt
ff -f concat -i list.txt -c copy resize.webm && rm wide.webm high.webm list.txt
ff -f lavfi -i sine=duration=0.2 -c:a aac -b:a 32k audio.mp4
ff -i h264.mp4 -c copy -movflags +faststart fast.mp4
head -c 4500 fast.mp4 > truncated.mp4 && rm fast.mp4
head -c 3000 h264.mp4 > noindex.mp4
clip 48x32 0.2 -c:v mjpeg clip.avi
clip 96x64 0.4 -pix_fmt yuvj420p -c:v mjpeg -q:v 12 mjpeg.mov
# Fragments; and some whose data begins, by their headers, only where that of the sound before it
# ends.
clip 96x64 1 -pix_fmt yuv420p -c:v libx264 -crf 34 -g 5 -movflags frag_keyframe+empty_moov frag.mp4
ff -i h264.mp4 -f lavfi -i sine=duration=1 -map 1:a -map 0:v -c:v copy -c:a aac -b:a 24k \
  -movflags empty_moov+omit_tfhd_offset -frag_duration 300000 frag-sound.mp4
# Colours that few writers tag.
clip 48x32 0.2 -pix_fmt yuv420p -c:v libx264 -crf 34 \
  -x264-params colormatrix=fcc:chromaloc=1 fcc-center.mp4
clip 48x32 0.2 -pix_fmt yuv420p -c:v libx264 -crf 34 \
  -x264-params colormatrix=YCgCo:chromaloc=4 ycgco.mp4
# Files that FFmpeg takes apart.
clip 98x66 1 -c:v mpeg4 -q:v 6 -bf 2 mpeg4.avi
clip 98x66 1 -f lavfi -i sine=d=1 -c:v libx264 -crf 32 -c:a mp2 -b:a 32k h264.mpegts
clip 98x66 1 -r 25 -c:v mpeg2video -q:v 8 -bf 2 mpeg2.mpg
clip 98x66 1 -c:v flv -q:v 8 sorenson.flv
clip 64x48 0.5 palette.gif
clip 64x48 0.5 -c:v libwebp_anim -lossless 1 animated.webp
clip 64x48 0.1 -frames:v 1 -c:v libwebp still.webp
# Not made here, but kept as they are: clips that were cut, joined or edited by hand, as reports of
# users describe them. Their names say how: h264-ss hevc-ss (cut at an open group of pictures),
# stsd-two (two sample descriptions), elst-slow (an edit list that goes back), mjpeg.mp4 (Motion
# JPEG by its object type), siting-topleft s240m (tags in the stream), same-time jump (odd clocks),
# mkv-crc (checksums and unknown elements), mkv-live-cut (a live recording, interrupted), twice.webm
# (two files, joined), zlib.mkv (compressed packets), still.avif.

ff -i h264.mp4 -frames:v 1 picture.png && ff -i h264.mp4 -frames:v 1 -q:v 4 picture.jpg

node - <<'EOF'
const { execFileSync } = require('node:child_process')
const { createHash } = require('node:crypto')
const { writeFileSync } = require('node:fs')
const clips = `
  h264.mp4 full709.mp4 full.mp4 bt709.mp4 ten.mp4 ten422.mp4 yuv444.mp4 odd444.mp4 rgb.mp4
  hevc10.mp4 gray.mp4 rotated.mp4 cut.mp4 vfr.mp4 gray10.mp4 twelve422.mp4 rgb12.mp4 gray12.mp4
  odd.webm vp8.webm mjpeg.mov twelve.webm four40.webm alpha.mov picture.png
  h264-ss.mp4 hevc-ss.mp4 stsd-two.mp4 elst-slow.mp4 mjpeg.mp4 siting-topleft.mp4 s240m.mp4
  same-time.mp4 jump.mp4 frag.mp4 frag-sound.mp4 fcc-center.mp4
  mkv-crc.mkv mkv-live-cut.mkv twice.webm zlib.mkv
  mpeg4.avi h264.mpegts mpeg2.mpg sorenson.flv palette.gif
  ../../models/tour.mp4 ../../models/short.webm
`.trim().split(/\s+/)
const planes = {}
for (const clip of clips) {
  const run = (program, options) =>
    execFileSync(program, ['-v', 'error', ...options.split(' ')], { encoding: 'utf8' })
  const probe = run('ffprobe', `-select_streams v -show_entries stream=pix_fmt -of json ${clip}`)
  const pixels = JSON.parse(probe).streams[0].pix_fmt
  const format = /\.(png|gif)$/.test(clip) ? 'rgba' : pixels.replace('yuva', 'yuv')
  // Without the flag, ffmpeg rounds MPEG-4 part 2 and its kin in another way on each processor.
  const exact = /\.(avi|ts|mpg|flv)$/.test(clip) ? '-flags +bitexact ' : ''
  const decode = `${exact}-noautorotate -i ${clip} -map 0:v:0 -vsync 0 -pix_fmt ${format}`
  const frames = run('ffmpeg', `${decode} -f framehash -hash sha256 -`)
    .split('\n')
    .filter((line) => /^\d/.test(line))
    .map((line) => line.split(',').at(-1).trim())
  const sha256 = createHash('sha256').update(frames.join('\n')).digest('hex')
  planes[clip.split('/').at(-1)] = { format, count: frames.length, sha256, first: frames[0] }
}
writeFileSync('planes.json', JSON.stringify(planes, null, 2) + '\n')
EOF
