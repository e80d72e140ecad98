/**
 * Expands a template of gpu/lib. `$for N { .. $}` is its inside N times, with 0 to N - 1 for `$i`;
 * every other `$name` is an argument: a name in the WGSL of the operation that calls it, or code
 * with `$1`, `$2` .., which are the operands in `$name(a, b)`.
 */
export function expand(template: string, names: Readonly<Record<string, string>>): string {
  return template
    .replace(/\$for (\d+) ?{(.*?)\$}/gs, (_, count: string, body: string) =>
      Array.from({ length: +count }, (_, i) => body.replaceAll('$i', `${i}`)).join(''),
    )
    .replace(/\$(\w+)(\([^()]*\))?/g, (argument, name: string, operands = '') => {
      const by = names[name]
      if (by === undefined) throw new Error(`A template has the unknown argument "${argument}"`)
      if (!by.includes('$1')) return by && by + operands
      const all = operands.slice(1, -1).split(', ')
      return by.replace(/\$(\d)/g, (_, number: string) => all[+number - 1]!)
    })
}
