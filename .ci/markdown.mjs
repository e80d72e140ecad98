// Pages of Markdown and their code blocks.
import { execFileSync } from 'node:child_process'

/** The pages that people read: README.md, docs, and the notes beside them. */
export function pages() {
  return execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.md'], {
    encoding: 'utf8',
  })
    .split('\n')
    .filter((file) => file && !/^(test|\.github)\//.test(file))
}

/**
 * The fenced blocks of a page: language, further words of the info string, first line, code, and
 * the text of a comment `<!-- prints: text -->` before it.
 */
export function blocksOf(text) {
  const lines = text.split('\n')
  const blocks = []
  for (let at = 0; at < lines.length; at++) {
    const [, info] = /^```(.+)$/.exec(lines[at]) ?? []
    if (info === undefined) continue
    const [language, ...marks] = info.trim().split(/\s+/)
    const start = at + 1
    while (lines[++at] !== '```') if (at === lines.length) throw new Error(`line ${start}: no end`)
    const before = lines.slice(0, start - 1).findLast((line) => line.trim() !== '')
    const [, prints = ''] = /^<!-- prints: (.*) -->$/.exec(before ?? '') ?? []
    blocks.push({
      language,
      marks,
      line: start,
      code: `${lines.slice(start, at).join('\n')}\n`,
      prints,
    })
  }
  return blocks
}
