/** Joins patterns that are written on several lines. The flags are those of the first. */
export function joined(...parts: RegExp[]): RegExp {
  return new RegExp(parts.map(({ source }) => source).join(''), parts[0]!.flags)
}
