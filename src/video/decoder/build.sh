#!/usr/bin/env bash
# npm run build:decoder
#
# FFmpeg's decoders as WebAssembly: decoder.wasm, its licence and the offer of its source, into
# build/decoder, from where npm run build takes them into dist/. Needs emscripten (apt-get install
# emscripten), make, xz and the npm registry, whose package libav.js carries the source of FFmpeg.
# Takes four minutes on two cores; what was built is kept in the user's cache folder, by the hash of
# this folder.
set -euo pipefail
cd "$(dirname "$0")"
version=9.0
package=libav.js@6.10.9
sha256=7f607a00dd0d28a729d5a4811205812eef01cf6ef6155025febb6f36a9062d52
out=$PWD/../../../build/decoder
hash=$(cat build.sh decoder.c | sha256sum | cut -c 1-16)
kept=${XDG_CACHE_HOME:-$HOME/.cache}/trecvit/decoder-$hash

if ! [ -e "$kept/decoder.wasm" ]; then
  if ! command -v emcc >/dev/null; then
    echo 'emcc is not installed: install emscripten, like apt-get install emscripten' >&2
    exit 1
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  shim=$PWD/decoder.c
  cd "$work"
  echo "fetching FFmpeg $version"
  npm pack --silent "$package" >/dev/null
  tar -xzf libav.js-*.tgz "package/sources/ffmpeg-$version.tar.xz"
  echo "$sha256  package/sources/ffmpeg-$version.tar.xz" | sha256sum --check --quiet
  tar -xJf "package/sources/ffmpeg-$version.tar.xz"
  cd "ffmpeg-$version"
  # Without the intrinsics for HEVC, which want a newer compiler than Debian's.
  options=(
    --target-os=none --arch=wasm32 --enable-cross-compile
    --cc=emcc --cxx=em++ --ar=emar --ranlib=emranlib --nm=emnm
    --disable-all --disable-autodetect --disable-stripping --disable-runtime-cpudetect
    --disable-simd128 --disable-pthreads --disable-network --disable-debug --disable-doc
    --enable-avcodec --enable-decoder=h264,hevc,vp8,vp9,mjpeg
    --optflags=-O3 --extra-cflags=-msimd128
  )
  echo 'configuring'
  emconfigure ./configure "${options[@]}" >log 2>&1 || { tail -n 20 log; exit 1; }
  grep -q '^License: LGPL' log || { echo 'FFmpeg was not configured to be LGPL'; exit 1; }
  echo 'compiling'
  emmake make -j"$(nproc)" >log 2>&1 || { tail -n 20 log; exit 1; }
  echo 'linking'
  emcc -O3 -msimd128 -I. "$shim" libavcodec/libavcodec.a libavutil/libavutil.a -o decoder.wasm \
    --no-entry -sSTANDALONE_WASM -sALLOW_MEMORY_GROWTH -sMAXIMUM_MEMORY=2GB -sTOTAL_STACK=1MB
  mkdir -p "$kept"
  cp COPYING.LGPLv2.1 "$kept/decoder.LICENSE"
  cat >"$kept/decoder.NOTICE" <<END
decoder.wasm is FFmpeg $version (https://ffmpeg.org), unchanged, under the GNU Lesser General
Public License 2.1 or later (decoder.LICENSE), with src/video/decoder/decoder.c of trecvit,
configured with:

  ${options[*]}

Its source is sources/ffmpeg-$version.tar.xz in the npm package $package (SHA-256 $sha256);
src/video/decoder/build.sh of trecvit builds it again, and any other build with the same exports
may take its place.
For three years from its release whoever asks the maintainers of trecvit is sent that source.
Patents on H.264 and HEVC may apply where you are.
END
  # Last, so that a build that was cut off is none.
  cp decoder.wasm "$kept/decoder.wasm"
fi
mkdir -p "$out"
cp "$kept"/decoder.* "$out"
bytes=$(stat -c %s "$out/decoder.wasm") gzipped=$(gzip -9c "$out/decoder.wasm" | wc -c)
echo "build/decoder/decoder.wasm: $bytes bytes, $gzipped gzipped"
