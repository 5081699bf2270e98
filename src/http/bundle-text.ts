import { stringify } from 'yaml'
import type { Part } from '../administration/bundle.ts'

/** Turns the parts of an exported bundle into text. Each piece is made quickly, so that others have their turn between. */
export interface BundleText {
  readonly type: string
  readonly begin: string
  settings(settings: object): Iterable<string>
  /** `isFirst` and `isLast`: of the parts of the section. */
  items(section: string, items: readonly object[], isFirst: boolean, isLast: boolean): Iterable<string>
  readonly end: string
}

/** One thing a line, so that a difference of two exports is a difference of lines. */
export const JSON_TEXT: BundleText = {
  type: 'application/json; charset=utf-8',
  begin: '{"verdict": 1',
  *settings(settings) {
    yield `,\n"settings": ${JSON.stringify(settings)}`
  },
  *items(section, items, isFirst, isLast) {
    const lines = items.map((item) => `\n  ${JSON.stringify(item)}`).join(',')
    if (isFirst) yield `,\n"${section}": [${lines}`
    else if (lines !== '') yield `,${lines}`
    if (isLast) yield isFirst && lines === '' ? ']' : '\n]'
  },
  end: '}\n',
}

// The library writes 2,000 things a second: what nobody reads from end to end is written as JSON, one thing a line,
// which is YAML too.
const READABLE = 500
const PIECE = 10

/** Without anchors and folding; and what a reader of YAML 1.1 would take for a truth or a number is quoted. */
const STYLE = { aliasDuplicateObjects: false, lineWidth: 0, compat: 'yaml-1.1' } as const

export const YAML_TEXT: BundleText = {
  type: 'application/yaml; charset=utf-8',
  begin: 'verdict: 1\n',
  *settings(settings) {
    yield stringify({ settings })
  },
  *items(section, items, isFirst, isLast) {
    if (isFirst && isLast && items.length === 0) yield `${section}: []\n`
    else if (isFirst) yield `${section}:\n`
    if (isFirst && isLast && items.length <= READABLE) yield* blocks(items)
    else if (items.length > 0) yield items.map((item) => `  - ${JSON.stringify(item)}\n`).join('')
  },
  end: '',
}

function* blocks(items: readonly object[]): Iterable<string> {
  for (let from = 0; from < items.length; from += PIECE) {
    const text = stringify(items.slice(from, from + PIECE), STYLE)
    // Not by a regular expression: to those, U+2028 inside a string ends a line too.
    const lines = text.split('\n').map((line) => (line === '' ? '' : `  ${line}`))
    yield lines.join('\n')
  }
}

/** Collects a text in pieces. An empty part in the middle of a section says nothing. */
export class TextCollector {
  readonly pieces: string[]
  readonly #text: BundleText
  #section = ''
  #begun = false

  constructor(text: BundleText) {
    this.#text = text
    this.pieces = [text.begin]
  }

  get type(): string {
    return this.#text.type
  }

  *take(part: Part): Iterable<void> {
    if (part.section === 'settings') {
      yield* this.#add(this.#text.settings(part.settings))
      return
    }
    const { section, items, isLast } = part
    if (section !== this.#section) this.#begun = false
    this.#section = section
    if (items.length === 0 && !isLast) return
    yield* this.#add(this.#text.items(section, items, !this.#begun, isLast))
    this.#begun = true
  }

  end(): readonly string[] {
    return [...this.pieces, this.#text.end]
  }

  *#add(pieces: Iterable<string>): Iterable<void> {
    for (const piece of pieces) {
      this.pieces.push(piece)
      yield
    }
  }
}
