#!/usr/bin/env bash
# Parity, then speed, on the GPU of this machine: bash bench/gpu/run.sh RESULTS [options of speed.ts]. Needs build/gpu, which pack.mjs makes.
# Writes RESULTS/tests.txt, speed.txt and speed.json. VK_DRIVER_FILES chooses the driver, where the loader does not find it.
set -uo pipefail
cd "$(dirname "$0")/../.."
results=${1:?Expected a folder for the results}
shift
mkdir -p "$results"
[ -x build/gpu/node ] || tar -C build/gpu -xJf build/gpu/runtime.tar.xz
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp}
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | tee "$results/driver.txt"
build/gpu/node build/gpu/tests.mjs 2>&1 | tee "$results/tests.txt"
build/gpu/node build/gpu/speed.mjs --out "$results/speed.json" "$@" 2>&1 | tee "$results/speed.txt"
