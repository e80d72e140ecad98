/**
 * A name out of a file, for a message: in double quotes, control characters escaped so that a hostile name cannot drive a terminal,
 * and no longer than a line.
 */
export function quote(name: string): string {
  const short = name.length > 120 ? `${name.slice(0, 120)}…` : name
  return JSON.stringify(short).replace(/[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
