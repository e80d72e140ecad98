/** Finds words that have a better one: in prose, and in comments, sentences and names of code. */

/** A word to avoid, and the field's own. */
const WORDS = [
  [/\bspin-?looks?\b|\blooks? for \d+ µs/, 'spins'],
  [/\bwhole numbers?\b/i, 'integer'],
  [/\btimes as long as\b/, 'relative time'],
  [/\bto 0\.\d+ of (its|the) time\b/, 'relative time'],
  [/\bdrawn by the CPU\b/, 'software GPU'],
  [/\bside by side\b/i, 'batch, or "next to each other"'],
  [/\bone replay takes\b/, 'chunk'],
  [/\bunless (given|told otherwise)\b/, 'by default'],
  [/\b(be|is|are) left out\b/, 'optional, skipped'],
  [/\b(is|are) not there\b|\bcannot be had\b/, 'not supported, missing, or not available'],
  [
    /\bopens? up\b|\btakes? (in|on)\b(?! (the (CPU|GPU)|turn|an? ))|\bhears?\b/i,
    'parse, load, queue',
  ],
  [/\bgives? up\b/, 'fails, or stops'],
  [/\bsleepers?\b/, 'waiting thread'],
  [/\bteams?\b/, 'thread pool'],
  [/\bread(s|ing)? ahead\b/, 'prefetch'],
  [/\bhow fast\b/i, 'throughput, latency'],
  [/\bnobody foresaw\b/, 'unhandled error'],
  [/\boutlives?\b|\bcounts (him|her)self\b/, 'say what happens'],
  [/\bpatience\b/i, 'timeout'],
  [/\bbreathes?\b/i, 'yields to the event loop'],
  [/\bhush(es)?\b/i, 'hides, or mutes'],
  [/\bhungry\b|\bdrips?\b/i, 'needs input; slow'],
]

/** A name to avoid in code, and the usual one. A part of a longer name counts, too. */
const NAMES = [
  [/^patience$/, 'timeout'],
  [/^breathed?$/, 'yieldToEventLoop'],
  [/^(hear|heard)$/, 'receive, message'],
  [/^(told|untold)$/, 'reported'],
  [/^hush$/, 'hide'],
  [/^(borne|hopeless)$/, 'retry, error'],
  [/^(hungry|tired|deaf|mortal|hasty|hurried)$/, 'what the value is or does'],
  [/^farewell$/, 'close'],
  [/^(deeds?|strangers?)$/, 'attack, hostile client'],
  [/^misfit$/, 'mismatch'],
  [/^(unfollowed|ponging|nudging)$/, 'the state that it stands for'],
]

/** Returns a sentence for each word to avoid in a text. */
export const faultsOf = (text) =>
  WORDS.filter(([word]) => word.test(text)).map(
    ([word, better]) => `says "${word.exec(text)[0]}": ${better}`,
  )

/** A string with at least two spaces between letters: a message or a title. */
const SENTENCE = /(['"`])(?:\\.|(?!\1).)*?[A-Za-z,;:] [A-Za-z]+ [a-z](?:\\.|(?!\1).)*?\1/g

const withoutCode = ({ line, text }) => ({ line, text: text.replace(/`[^`]*`/g, '') })

/**
 * Yields the comments and the sentences of a file of code. The lines of a comment are joined. Code
 * in backquotes is removed from comments.
 */
export function* proseOf(code) {
  let comment = null
  const lines = code.split('\n')
  for (const [index, line] of lines.entries()) {
    const text = line.trim()
    const begins = /^(\/\*\*?|\/\/|<!--|# )/.test(text)
    const goesOn = comment !== null && (comment.isOpen || (begins && !text.startsWith('/*')))
    if (comment !== null && !goesOn) {
      yield withoutCode(comment)
      comment = null
    }
    if (begins || goesOn) {
      comment ??= { line: index + 1, text: '', isOpen: false }
      const isBlock = comment.isOpen || /^(\/\*|<!--)/.test(text)
      comment.text += `${text.replace(/^(\/\*\*?|\*(?!\/)|\/\/|<!--|#) ?|(\*\/|-->)$/g, '')} `
      comment.isOpen = isBlock && !/(\*\/|-->)/.test(text)
      continue
    }
    const [, behind] = /\s\/\/ (.*)$/.exec(line) ?? []
    if (behind) yield { line: index + 1, text: behind }
    for (const [sentence] of line.matchAll(SENTENCE))
      yield { line: index + 1, text: sentence.slice(1, -1) }
  }
  if (comment !== null) yield withoutCode(comment)
}

/** Names that a line declares: variables, functions, types, and private fields. */
const DECLARED = /\b(?:const|let|function\*?|class|interface|type|fn)\s+(\w+)|#(\w+)/g

/** Yields the names to avoid that a file of code declares. */
function* faultsOfNames(code) {
  for (const [index, line] of code.split('\n').entries()) {
    if (/^\s*(\/\/|\/?\*|#)/.test(line) && !/^\s*#\w/.test(line)) continue
    for (const [, name, field] of line.matchAll(DECLARED)) {
      const full = name ?? field
      const parts = full.split(/_|(?<=[a-z\d])(?=[A-Z])/).map((part) => part.toLowerCase())
      for (const [word, better] of NAMES)
        if (parts.some((part) => word.test(part)))
          yield { line: index + 1, fault: `names "${full}": ${better}` }
    }
  }
}

/** Returns the words and names to avoid in a file of code, as `line fault`. */
export const faultsOfCode = (code) => [
  ...[...proseOf(code)].flatMap(({ line, text }) =>
    faultsOf(text).map((fault) => `${line} ${fault}`),
  ),
  ...[...faultsOfNames(code)].map(({ line, fault }) => `${line} ${fault}`),
]
