import { isMap, isScalar, isSeq, type Node, type ParsedNode, parseDocument, type YAMLMap } from 'yaml'
import { Failure, type Problem } from '../failure.ts'
import { escaped } from '../policy/json.ts'
import { MAX_DEPTH, parseJson } from './json.ts'
import { type Cut, cut } from './yaml-cut.ts'

const SHOWN_PROBLEMS = 100

/**
 * Reads a YAML document as strictly as `parseJson` reads JSON: only what JSON can say, no duplicate members, no
 * anchors, aliases or tags, at most `MAX_DEPTH` levels. Aliases are never followed, so a document that would grow by
 * them costs no more than its text. All problems come at once, each with its line.
 *
 * The library takes 70 bytes of memory for each byte of text; a long list is read in parts (`yaml-cut.ts`), so that a
 * document of 50 MiB takes a few hundred MiB.
 */
export function parseYaml(text: string): unknown {
  const problems: Problem[] = []
  const value = readDocument(text, problems)
  if (problems.length === 0) return value
  throw new Failure('invalid_request', `the document is not the YAML that is read here: ${problems[0]?.detail}`, {
    problems: problems.slice(0, SHOWN_PROBLEMS),
  })
}

function readDocument(text: string, problems: Problem[]): unknown {
  if (text.includes('\u0000')) return void problems.push({ pointer: '', detail: 'the text holds NUL' })
  const found = text.length < CUT_FROM ? undefined : cut(text)
  if (found === undefined) return readPart(text, 1, '', problems)
  const rest = readPart(found.rest, 1, '', problems)
  // What looked like a list may have stood inside something else.
  const left = new Map(Object.entries(rest ?? {}))
  if (found.lists.some(({ name }) => left.get(name) !== null)) {
    problems.length = 0
    return readPart(text, 1, '', problems)
  }
  const lists = found.lists.map(({ name, parts }) => [name, readList(name, parts, problems)])
  return { ...Object.fromEntries(left), ...Object.fromEntries(lists) }
}

// Below it, cutting saves nothing worth having.
const CUT_FROM = 64 * 1024

function readList(name: string, parts: Cut['lists'][number]['parts'], problems: Problem[]): unknown[] {
  const items: unknown[] = []
  for (const { text, line } of parts) {
    if (problems.length >= SHOWN_PROBLEMS) break
    const read = linesOfJson(text) ?? readPart(text, line, `/${name}`, problems, items.length)
    if (Array.isArray(read)) for (const item of read) items.push(item)
  }
  return items
}

/** Items that are JSON, one a line, are read as what they are: that is a hundred times as fast. */
function linesOfJson(text: string): unknown[] | undefined {
  const lines = text.split('\n').filter((line) => line !== '')
  const bodies = lines.map((line) => /^ *- (\{".*\})\r?$/.exec(line)?.[1])
  if (bodies.includes(undefined)) return undefined
  try {
    const read = parseJson(Buffer.from(`[${bodies.join(',')}]`))
    return Array.isArray(read) && read.length === lines.length ? read : undefined
  } catch {
    // Then it is YAML, or wrong: the slow way says where.
    return undefined
  }
}

function readPart(text: string, line: number, pointer: string, problems: Problem[], offset = 0): unknown {
  const walk = new Walk(text, line, problems)
  try {
    const document = parseDocument(text, { version: '1.2', schema: 'core', uniqueKeys: false, prettyErrors: false })
    for (const { message, pos } of [...document.errors, ...document.warnings]) walk.problem(pointer, message, pos[0])
    return walk.value(document.contents, pointer, 1, offset)
  } catch (error) {
    // The library reads by recursion.
    if (!(error instanceof RangeError)) throw error
    walk.problem(pointer, `nests deeper than ${MAX_DEPTH} levels`, 0)
    return undefined
  }
}

class Walk {
  readonly #text: string
  readonly #line: number
  readonly #problems: Problem[]

  constructor(text: string, line: number, problems: Problem[]) {
    this.#text = text
    this.#line = line
    this.#problems = problems
  }

  problem(pointer: string, detail: string, at = 0): void {
    // Only the first are shown, and a line is found by counting.
    if (this.#problems.length > SHOWN_PROBLEMS) return
    let line = this.#line
    for (let end = this.#text.indexOf('\n'); end !== -1 && end < at; end = this.#text.indexOf('\n', end + 1)) line++
    this.#problems.push({ pointer, detail: `line ${line}: ${detail}` })
  }

  value(node: ParsedNode | Node | null, pointer: string, depth: number, offset = 0): unknown {
    if (node === null) return null
    const at = node.range?.[0] ?? 0
    if (depth > MAX_DEPTH) return this.problem(pointer, `nests deeper than ${MAX_DEPTH} levels`, at)
    if ('anchor' in node && node.anchor !== undefined) this.problem(pointer, 'anchors are not read here', at)
    if (node.tag !== undefined) this.problem(pointer, 'tags are not read here', at)
    if (isMap(node)) return this.#object(node, pointer, depth)
    if (isSeq(node)) {
      return node.items.map((item, place) => this.value(item as Node, `${pointer}/${place + offset}`, depth + 1))
    }
    if (!isScalar(node)) return this.problem(pointer, 'aliases are not read here', at)
    return this.#scalar(node.value, pointer, at)
  }

  #object(node: YAMLMap, pointer: string, depth: number): Record<string, unknown> {
    const members = new Map<string, unknown>()
    for (const { key, value } of node.items) {
      const name = this.#name(key as Node, pointer)
      if (name === undefined) continue
      const at = `${pointer}/${escaped(name)}`
      const place = (key as Node).range?.[0]
      if (members.has(name)) this.problem(at, 'the member stands twice', place)
      if (name === '__proto__') this.problem(at, 'a member may not be named "__proto__"', place)
      members.set(name, this.value(value as Node | null, at, depth + 1))
    }
    return Object.fromEntries(members)
  }

  /** A key that looks like a number or a truth is the text that it is written as. */
  #name(key: Node | null, pointer: string): string | undefined {
    if (!isScalar(key)) return void this.problem(pointer, 'a member is named by a text', key?.range?.[0])
    const at = key.range?.[0] ?? 0
    if (key.anchor !== undefined || key.tag !== undefined) this.problem(pointer, 'a name takes no anchor or tag', at)
    const name = typeof key.value === 'string' ? key.value : (key.source ?? '')
    this.#scalar(name, pointer, at)
    return name
  }

  #scalar(value: unknown, pointer: string, at: number): unknown {
    if (typeof value === 'string') {
      if (!value.isWellFormed()) this.problem(pointer, 'a string holds a lone surrogate', at)
      if (value.includes('\u0000')) this.problem(pointer, 'a string holds NUL', at)
    } else if (typeof value === 'number') {
      if (!Number.isFinite(value)) this.problem(pointer, 'is no number that JSON knows', at)
      else if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
        this.problem(pointer, 'a whole number is beyond 2^53 - 1, where neighbours become one: write it as text', at)
      }
    } else if (typeof value !== 'boolean' && value !== null && value !== undefined) {
      this.problem(pointer, 'is nothing that JSON knows', at)
    }
    return value ?? null
  }
}
