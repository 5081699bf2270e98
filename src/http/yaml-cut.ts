/** A document whose long lists stand apart. Lines are counted from 1. */
export interface Cut {
  /** The document without the items of `lists`; its lines are where they were. */
  readonly rest: string
  readonly lists: readonly { readonly name: string; readonly parts: readonly Part[] }[]
}

interface Part {
  readonly text: string
  readonly line: number
}

const PART_ITEMS = 200

/**
 * Cuts a document at the items of its top-level block lists:
 *
 *     rules:
 *       - name: …        each line with this very indent and a dash begins an item
 *
 * In YAML nothing that belongs to an item may stand as far to the left as its dash. A text that the library would
 * read in spite of that (a quoted string that goes on at the margin) falls apart into parts that it refuses, so that
 * cutting can make a document unreadable but never another one; where a list was cut out, nothing may be left in `rest`,
 * or it was no list at the top. Undefined: it is not of this form.
 */
export function cut(text: string): Cut | undefined {
  const lines = text.split('\n')
  const rest: string[] = []
  const lists: { name: string; parts: Part[] }[] = []
  for (let at = 0; at < lines.length; ) {
    const line = lines[at] ?? ''
    rest.push(line)
    at++
    if (line.startsWith('\t') || /^(---|\.\.\.|%)/.test(line)) return undefined
    const name = /^([A-Za-z_]+):[ \t]*(#.*)?\r?$/.exec(line)?.[1]
    const indent = name === undefined ? undefined : indentOfList(lines, at)
    if (name === undefined || indent === undefined) continue
    const { parts, end } = partsOf(lines, at, indent)
    lists.push({ name, parts })
    for (; at < end; at++) rest.push('')
  }
  return lists.length === 0 ? undefined : { rest: rest.join('\n'), lists }
}

const EMPTY = /^\s*(#.*)?$/

/** How far the first item is indented; undefined where no list begins. */
function indentOfList(lines: readonly string[], from: number): number | undefined {
  for (let at = from; at < lines.length; at++) {
    const line = lines[at] ?? ''
    if (EMPTY.test(line)) continue
    return /^( *)-( |\r?$)/.exec(line)?.[1]?.length
  }
  return undefined
}

function partsOf(lines: readonly string[], from: number, indent: number): { parts: Part[]; end: number } {
  const dash = `${' '.repeat(indent)}-`
  const parts: Part[] = []
  let start = from
  let items = 0
  let at = from
  for (; at < lines.length; at++) {
    const line = lines[at] ?? ''
    const isItem = line.startsWith(dash) && /^( |\r?$)/.test(line.slice(dash.length, dash.length + 2))
    if (!isItem && !EMPTY.test(line) && depthOf(line) <= indent) break
    if (!isItem) continue
    if (items === PART_ITEMS) {
      parts.push({ text: lines.slice(start, at).join('\n'), line: start + 1 })
      start = at
      items = 0
    }
    items++
  }
  parts.push({ text: lines.slice(start, at).join('\n'), line: start + 1 })
  return { parts, end: at }
}

function depthOf(line: string): number {
  return line.length - line.trimStart().length
}
