/**
 * Expands a template of gpu/lib. `$for N { .. $}` is its inside N times, with 0 to N - 1 for `$i`;
 * every other `$name` is an argument: a name in the WGSL of the operation that calls it.
 */
export function expand(template: string, names: Readonly<Record<string, string>>): string {
  return template
    .replace(/\$for (\d+) ?{(.*?)\$}/gs, (_, count: string, body: string) =>
      Array.from({ length: +count }, (_, i) => body.replaceAll('$i', `${i}`)).join(''),
    )
    .replace(/\$(\w+)/g, (argument, name: string) => {
      if (!names[name]) throw new Error(`A template has the unknown argument "${argument}"`)
      return names[name]
    })
}
