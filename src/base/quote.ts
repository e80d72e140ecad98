/** Largest length of a quoted name in characters, with escapes. */
const LONGEST = 120

/**
 * Returns a name from a file for a message: in double quotes and at most a line long. Control
 * characters are escaped, because they could control a terminal.
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
