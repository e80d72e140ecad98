#!/usr/bin/env bash
# npm run build:decoder
#
# Builds FFmpeg's demuxers and decoders for WebAssembly: decoder.wasm, its licence and the offer of
# its source, in build/decoder. npm run build copies them to dist/. Needs emscripten (apt-get
# install emscripten), make, xz and the npm registry, whose package libav.js contains the source of
# FFmpeg. Takes five minutes on two cores. The result is kept in the user's cache folder, by the
# hash of the sources in this folder.
set -euo pipefail
cd "$(dirname "$0")"
version=9.0
package=libav.js@6.10.9
sha256=7f607a00dd0d28a729d5a4811205812eef01cf6ef6155025febb6f36a9062d52
out=$PWD/../../../build/decoder
hash=$(cat build.sh ./*.c ./*.h | sha256sum | cut -c 1-16)
kept=${XDG_CACHE_HOME:-$HOME/.cache}/trecvit/decoder-$hash

if ! [ -e "$kept/decoder.wasm" ]; then
  if ! command -v emcc >/dev/null; then
    echo 'emcc is not installed: install emscripten, like apt-get install emscripten' >&2
    exit 1
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  shim=$PWD
  cd "$work"
  echo "fetching FFmpeg $version"
  npm pack --silent "$package" >/dev/null
  tar -xzf libav.js-*.tgz "package/sources/ffmpeg-$version.tar.xz"
  echo "$sha256  package/sources/ffmpeg-$version.tar.xz" | sha256sum --check --quiet
  tar -xJf "package/sources/ffmpeg-$version.tar.xz"
  cd "ffmpeg-$version"
  # emcc takes a second to start, and then calls clang. So here it only links.
  clang=$(echo | emcc -v -x c -c - -o empty.o 2>&1 | sed -n 's/^ *"\([^"]*\)" -cc1 .*/\1/p')
  mkdir compilers
  cat >compilers/emcc <<END
#!/bin/sh
for argument; do
  case \$argument in -c | -E | -S) exec $clang $(emcc --cflags) "\$@" ;; esac
done
exec $(command -v emcc) "\$@"
END
  chmod +x compilers/emcc
  PATH=$PWD/compilers:$PATH
  # Without the intrinsics for HEVC, which want a newer compiler than Debian's.
  options=(
    --target-os=none --arch=wasm32 --enable-cross-compile
    --cc=emcc --cxx=em++ --ar=emar --ranlib=emranlib --nm=emnm
    --disable-all --disable-autodetect --disable-stripping --disable-runtime-cpudetect
    --disable-simd128 --disable-pthreads --disable-network --disable-debug --disable-doc
    --enable-avcodec --enable-decoder=h264,hevc,vp8,vp9,mjpeg
    --enable-decoder=mpeg4,msmpeg4v1,msmpeg4v2,msmpeg4v3,wmv1,wmv2,h263,flv,vp6,vp6a,vp6f
    --enable-decoder=mpeg1video,mpeg2video,rawvideo,gif,webp,webp_anim
    --enable-avformat --enable-demuxer=avi,mpegts,mpegps,mpegvideo,flv,gif,webp_anim,mov,matroska
    --enable-parser=h264,hevc,vp8,vp9,mjpeg,mpeg4video,mpegvideo,h263,gif,webp
    --optflags=-O3 --extra-cflags=-msimd128
  )
  echo 'configuring'
  emconfigure ./configure "${options[@]}" >log 2>&1 || { tail -n 20 log; exit 1; }
  grep -q '^License: LGPL' log || { echo 'FFmpeg was not configured to be LGPL'; exit 1; }
  echo 'compiling'
  emmake make -j"$(nproc)" >log 2>&1 || { tail -n 20 log; exit 1; }
  echo 'linking'
  # host.read is undefined for the linker: src/video/ffmpeg/wasmReader.ts provides it.
  emcc -O3 -msimd128 --profiling-funcs -I. "$shim"/{decoder,reader}.c -o linked.wasm \
    libavformat/libavformat.a libavcodec/libavcodec.a libavutil/libavutil.a \
    --no-entry -sSTANDALONE_WASM -sALLOW_MEMORY_GROWTH -sMAXIMUM_MEMORY=2GB -sTOTAL_STACK=1MB \
    -sERROR_ON_UNDEFINED_SYMBOLS=0 -sWARN_ON_UNDEFINED_SYMBOLS=0
  # host.read may wait for bytes, so Asyncify must be able to unwind all of its callers: libavformat
  # and reader.c. Decoders are not instrumented and keep their speed. The linker appends a number
  # to a name that occurs twice.
  {
    emnm --defined-only libavformat/libavformat.a 2>/dev/null |
      awk '$2 ~ /^[tT]$/ { print $3; print $3 ".*" }' | sort -u
    printf '%s\n' openFile nextPicture feed findTracks readBytes
  } | paste -sd , >suspended
  wasm-opt linked.wasm -o decoder.wasm --enable-simd --enable-bulk-memory --strip-debug \
    --asyncify --pass-arg=asyncify-imports@host.read --pass-arg=asyncify-onlylist@@suspended \
    -O2 >log 2>&1 || { tail -n 20 log; exit 1; }
  mkdir -p "$kept"
  cp COPYING.LGPLv2.1 "$kept/decoder.LICENSE"
  cat >"$kept/decoder.NOTICE" <<END
decoder.wasm is FFmpeg $version (https://ffmpeg.org), unchanged, under the GNU Lesser General
Public License 2.1 or later (decoder.LICENSE), with decoder.c and reader.c of
src/video/decoder of trecvit, configured with:

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
