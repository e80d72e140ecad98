/** Characters at most, escapes counted. */
const LONGEST = 120

/**
 * A name out of a file, for a message: in double quotes, control characters escaped so that a
 * hostile name cannot drive a terminal, and no longer than a line.
 */
export function quote(name: string): string {
  let shown = ''
  for (const character of name.slice(0, LONGEST + 1)) {
    const next = JSON.stringify(character)
      .slice(1, -1)
      .replace(
        /[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/,
        (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
      )
    if (shown.length + next.length > LONGEST) return `"${shown}…"`
    shown += next
  }
  return `"${shown}"`
}
