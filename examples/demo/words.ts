/** Formats names and numbers for the page. */
import type { Class } from 'trecvit'

export const nameOf = ({ label, index }: Class): string => label ?? `class ${index}`
export const percent = (share: number): string => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`
export const megabytes = (bytes: number): string =>
  `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`
