/**
 * Patterns of resource ids (`*` any run but `/`, `**` any run, `?` one character but `/`, `\` escapes) and of
 * actions (`*` any run, nothing else is special). No regular expressions: matching follows all possible positions in
 * the pattern at once, so that its time is linear in the text for every pattern.
 */

// Tokens are code points, or one of these.
export const ONE = -1
export const RUN_IN_SEGMENT = -2
export const RUN = -3

export const SLASH = 0x2f
const STAR = 0x2a
const QUESTION = 0x3f
const BACKSLASH = 0x5c

export interface Pattern {
  readonly text: string
  /** By what it is compared: equality, how the text begins (and that no `/` follows), how it ends, or place by place. */
  readonly kind: 'exact' | 'prefix' | 'segment' | 'suffix' | 'other'
  /** The text itself, its start, its end, or its longest run of plain characters ("" where there is none). */
  readonly literal: string
  /** Whether the literal stands at the start of every text that matches. */
  readonly anchored: boolean
  /** Of a pattern that is compared place by place. */
  readonly tokens: readonly number[]
}

export function idPattern(text: string): Pattern {
  if (!/[*?\\]/.test(text)) return exact(text, text)
  return plain(text) ?? classify(text, idTokens(text))
}

// Most patterns are one run at the end or at the beginning: a million of them need not be taken apart first.
function plain(text: string): Pattern | undefined {
  if (/[?\\]/.test(text)) return undefined
  const first = text.indexOf('*')
  const end = text.length - 2
  if (first === end && text.endsWith('**')) {
    return { text, kind: 'prefix', literal: copied(text, 0, end), anchored: true, tokens: NONE }
  }
  if (first !== 0 || text.lastIndexOf('*') !== 1) return undefined
  return { text, kind: 'suffix', literal: copied(text, 2, text.length), anchored: false, tokens: NONE }
}

/** Of the pattern of an id: code points, `ONE` and runs. */
export function idTokens(text: string): number[] {
  const tokens: number[] = []
  const points = codePoints(text)
  for (let at = 0; at < points.length; at++) {
    const point = points[at] ?? 0
    if (point === BACKSLASH && at + 1 < points.length) tokens.push(points[++at] ?? 0)
    else if (point === STAR && points[at + 1] === STAR) {
      at++
      tokens.push(RUN)
    } else if (point === STAR) tokens.push(RUN_IN_SEGMENT)
    else tokens.push(point === QUESTION ? ONE : point)
  }
  return tokens
}

export function actionPattern(text: string): Pattern {
  if (!text.includes('*')) return exact(text, text)
  return classify(text, actionTokens(text))
}

/** Of the pattern of actions: code points and runs. */
export function actionTokens(text: string): number[] {
  return codePoints(text).map((point) => (point === STAR ? RUN : point))
}

/** Whether it is the pattern of every id. */
export function isAnyId({ kind, literal }: Pattern): boolean {
  return kind === 'prefix' && literal === ''
}

/** A run of plain characters in a pattern, and where texts that match have it. */
export interface Literal {
  readonly text: string
  readonly part: 'start' | 'end' | 'middle'
}

/** As short as a literal may be that is looked for in every text. */
export const SHORTEST_LITERAL = 3

/** The literals of a pattern by which it can be found, the longest first. */
export function literalsOf({ kind, literal, tokens }: Pattern): Literal[] {
  if (literal === '') return []
  if (kind === 'prefix' || kind === 'segment') return [{ text: literal, part: 'start' }]
  if (kind === 'suffix') return [{ text: literal, part: 'end' }]
  return runsOf(tokens)
    .map(({ start, end }): Literal => {
      const text = toText(tokens.slice(start, end))
      return { text, part: start === 0 ? 'start' : end === tokens.length ? 'end' : 'middle' }
    })
    .filter(({ text, part }) => part !== 'middle' || text.length >= SHORTEST_LITERAL)
    .sort((a, b) => b.text.length - a.text.length)
}

/** Whether a pattern of ids has no literal that tells it from most others, though it is not the pattern of every id. */
export function isVague(pattern: Pattern): boolean {
  return pattern.kind !== 'exact' && !isAnyId(pattern) && pattern.literal.length < SHORTEST_LITERAL
}

/** What is wrong with the pattern of an id, or null. */
export function idPatternFault(text: string): string | null {
  let escaped = false
  for (const character of text) escaped = !escaped && character === '\\'
  return escaped ? 'ends in "\\", which escapes nothing' : null
}

/** The pattern that matches this id and nothing else. */
export function literalId(id: string): string {
  return id.replace(/[\\*?]/g, '\\$&')
}

function codePoints(text: string): number[] {
  const points: number[] = []
  for (const character of text) points.push(character.codePointAt(0) ?? 0)
  return points
}

/** A part of a text. A slice would be a look-up of the whole wherever it is compared. */
function copied(text: string, start: number, end: number): string {
  const codes: number[] = []
  for (let at = start; at < end; at++) codes.push(text.charCodeAt(at))
  return String.fromCharCode(...codes)
}

const NONE: readonly number[] = Object.freeze([])

function exact(text: string, literal: string): Pattern {
  return { text, kind: 'exact', literal, anchored: true, tokens: NONE }
}

function classify(text: string, tokens: readonly number[]): Pattern {
  const firstWild = tokens.findIndex((token) => token < 0)
  if (firstWild === -1) return exact(text, toText(tokens))
  if (firstWild === tokens.length - 1 && tokens[firstWild] === RUN) {
    return { text, kind: 'prefix', literal: toText(tokens.slice(0, firstWild)), anchored: true, tokens: NONE }
  }
  if (firstWild === tokens.length - 1 && tokens[firstWild] === RUN_IN_SEGMENT) {
    return { text, kind: 'segment', literal: toText(tokens.slice(0, firstWild)), anchored: firstWild > 0, tokens: NONE }
  }
  if (tokens[0] === RUN && tokens.slice(1).every((token) => token >= 0)) {
    return { text, kind: 'suffix', literal: toText(tokens.slice(1)), anchored: false, tokens: NONE }
  }
  const { start, end } = longestLiteral(tokens)
  return { text, kind: 'other', literal: toText(tokens.slice(start, end)), anchored: start === 0 && end > 0, tokens }
}

interface Run {
  readonly start: number
  readonly end: number
}

function longestLiteral(tokens: readonly number[]): Run {
  let longest = { start: 0, end: 0 }
  for (const run of runsOf(tokens)) if (run.end - run.start > longest.end - longest.start) longest = run
  return longest
}

/** The runs of plain characters. */
function runsOf(tokens: readonly number[]): Run[] {
  const runs: Run[] = []
  let start = 0
  for (let at = 0; at <= tokens.length; at++) {
    const token = tokens[at]
    if (token !== undefined && token >= 0) continue
    if (at > start) runs.push({ start, end: at })
    start = at + 1
  }
  return runs
}

function toText(tokens: readonly number[]): string {
  return String.fromCodePoint(...tokens)
}

export function matches(pattern: Pattern, text: string): boolean {
  if (pattern.kind === 'exact') return text === pattern.literal
  if (pattern.kind === 'prefix') return text.startsWith(pattern.literal)
  if (pattern.kind === 'segment') {
    return text.startsWith(pattern.literal) && text.indexOf('/', pattern.literal.length) === -1
  }
  if (pattern.kind === 'suffix') return text.endsWith(pattern.literal)
  return simulate(pattern.tokens, text)
}

// Two lists of places in the pattern, used in turn. A pattern has at most 512 characters, hence 513 places; longer
// ones get lists of their own. `decide` is synchronous, so that sharing them is safe.
const PLACES = 1025
let here = new Int32Array(PLACES)
let next = new Int32Array(PLACES)
let seenAt = new Float64Array(PLACES)
let clock = 0

function simulate(tokens: readonly number[], text: string): boolean {
  if (tokens.length >= here.length) grow(tokens.length + 1)
  clock++
  let count = reach(tokens, 0, here, 0)
  for (let at = 0; at < text.length && count > 0; ) {
    const point = text.codePointAt(at) ?? 0
    at += point > 0xffff ? 2 : 1
    clock++
    let reached = 0
    for (let i = 0; i < count; i++) {
      const place = here[i] ?? 0
      const token = tokens[place]
      if (token === undefined) continue
      if (token === point || (token === ONE && point !== SLASH)) reached = reach(tokens, place + 1, next, reached)
      else if (token === RUN || (token === RUN_IN_SEGMENT && point !== SLASH)) {
        reached = reach(tokens, place, next, reached)
      }
    }
    const spare = here
    here = next
    next = spare
    count = reached
  }
  for (let i = 0; i < count; i++) if (here[i] === tokens.length) return true
  return false
}

/** Adds `place`, and what lies behind the runs that begin there (a run may be empty), to the list; each place once. */
function reach(tokens: readonly number[], place: number, list: Int32Array, count: number): number {
  let size = count
  let at = place
  while (seenAt[at] !== clock) {
    seenAt[at] = clock
    list[size++] = at
    const token = tokens[at]
    if (token !== RUN && token !== RUN_IN_SEGMENT) break
    at++
  }
  return size
}

function grow(size: number): void {
  here = new Int32Array(size * 2)
  next = new Int32Array(size * 2)
  seenAt = new Float64Array(size * 2)
}
