#!/usr/bin/env bash
# Measures speed, then runs the tests, on the GPU of this machine: bash bench/gpu/run.sh RESULTS
# [options of speed.ts]. Needs build/gpu, which pack.mjs makes. Writes RESULTS/frame.txt, speed.txt,
# speed.json and, after a minute or more, tests.txt and matrices.txt. Set VK_DRIVER_FILES if the
# loader does not find the driver. To compare forms of the tile: build/gpu/node
# build/gpu/products.mjs
set -uo pipefail
cd "$(dirname "$0")/../.."
results=${1:?Expected a folder for the results}
shift
mkdir -p "$results"
[ -x build/gpu/node ] || tar -C build/gpu -xJf build/gpu/runtime.tar.xz
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp}
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null |
  tee "$results/driver.txt"
# Clocks and power over time: both fall when a GPU gets hot or shares its supply.
nvidia-smi --query-gpu=timestamp,clocks.sm,power.draw,temperature.gpu \
  --format=csv,noheader --loop-ms=1000 >"$results/clocks.txt" 2>/dev/null &
trap 'kill %1 2>/dev/null' EXIT
build/gpu/node build/gpu/frame.mjs 2>&1 | tee "$results/frame.txt"
build/gpu/node build/gpu/speed.mjs --out "$results/speed.json" "$@" 2>&1 | tee "$results/speed.txt"
build/gpu/node build/gpu/tests.mjs 2>&1 | tee "$results/tests.txt"
build/gpu/node build/gpu/matrices.mjs 2>&1 | tee "$results/matrices.txt"
