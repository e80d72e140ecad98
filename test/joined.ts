/** One pattern made of several, which stand on lines of their own. The flags are the first's. */
export function joined(...parts: RegExp[]): RegExp {
  return new RegExp(parts.map(({ source }) => source).join(''), parts[0]!.flags)
}
