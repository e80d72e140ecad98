import type { Device } from '../../backend/backend.ts'
import { builtinModule } from '../../platform/platform.ts'
import { availableThreads } from '../../platform/worker.ts'

/** Returns runtime, CPU and settings, for the head of a report. */
export function machineFacts(
  device: Pick<Device, 'kernels' | 'threads'>,
): Record<string, string | number> {
  const os = builtinModule('node:os')
  const cpu = os?.cpus()[0]?.model.trim()
  const platform = os
    ? `${os.platform()} ${os.arch()}`
    : (globalThis as { navigator?: { platform?: string } }).navigator?.platform
  return {
    runtime: runtimeName(),
    ...(cpu && { cpu }),
    cores: availableThreads(),
    ...(platform && { platform }),
    kernels: device.kernels,
    threads: device.threads,
    date: new Date().toISOString().slice(0, 10),
  }
}

/** Returns the name and version of the JavaScript runtime. */
function runtimeName(): string {
  const { process, navigator } = globalThis as {
    process?: { versions?: Record<string, string | undefined> }
    navigator?: { userAgent?: string }
  }
  for (const [key, name] of [
    ['deno', 'Deno'],
    ['bun', 'Bun'],
    ['node', 'Node'],
  ] as const) {
    if (process?.versions?.[key]) return `${name} ${process.versions[key]}`
  }
  const agent = navigator?.userAgent ?? ''
  // Every browser also names others in its user agent. The most specific name comes first.
  for (const [pattern, name] of [
    [/Firefox\/([\d.]+)/, 'Firefox'],
    [/Edg\/(\d+)/, 'Edge'],
    [/Chrome\/(\d+)/, 'Chromium'],
    [/Version\/([\d.]+).* Safari/, 'Safari'],
  ] as const) {
    const version = pattern.exec(agent)?.[1]
    if (version) return `${name} ${version}`
  }
  return agent || 'unknown runtime'
}
