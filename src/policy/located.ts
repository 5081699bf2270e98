import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from 'yaml'
import type { Problem } from '../failure.ts'
import { membersOf } from './json.ts'

/** A place in a text, both counted from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

export interface LocatedProblem extends Problem, Position {}

// How often anchors may be used, each use counted with the uses within it: far beyond what people write, and far below
// what a document made to blow up needs.
const MAX_ALIASES = 1_000_000

/** A document in YAML (JSON is YAML) that knows where its parts stand. */
export class LocatedDocument {
  readonly value: unknown
  readonly #document: Document
  readonly #lines: LineCounter

  constructor(value: unknown, document: Document, lines: LineCounter) {
    this.value = value
    this.#document = document
    this.#lines = lines
  }

  /** Where a JSON pointer leads; where it leads nowhere, the place of the last part that is there. */
  positionOf(pointer: string): Position {
    let node: Node | null = this.#document.contents
    let at = startOf(node)
    for (const member of membersOf(pointer)) {
      const next = childOf(this.#resolved(node), member)
      if (next === undefined) break
      node = next.value
      at = startOf(next.key ?? next.value) ?? at
    }
    return positionAt(this.#lines, at ?? 0)
  }

  locate(problems: readonly Problem[]): LocatedProblem[] {
    return problems.map((problem) => ({ ...problem, ...this.positionOf(problem.pointer) }))
  }

  #resolved(node: Node | null): Node | null {
    return isAlias(node) ? (node.resolve(this.#document) ?? null) : node
  }
}

/** A member that stands twice, an anchor that is not there, a tag that nobody knows: all refused. */
export function readLocated(text: string): LocatedDocument | { readonly problems: readonly LocatedProblem[] } {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const problems = [...document.errors, ...document.warnings].map(({ message, pos }) => ({
    pointer: '',
    detail: message,
    ...positionAt(lines, pos[0]),
  }))
  if (problems.length > 0) return { problems }
  try {
    return new LocatedDocument(document.toJS({ maxAliasCount: MAX_ALIASES }), document, lines)
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    return { problems: [{ pointer: '', detail, ...positionAt(lines, unresolved(document) ?? 0) }] }
  }
}

/** Where the first alias stands whose anchor does not stand before it. */
function unresolved(document: Document): number | undefined {
  let at: number | undefined
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return undefined
      at = startOf(alias)
      return visit.BREAK
    },
  })
  return at
}

function positionAt(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset)
  // The counter calls the place before the first line 0.
  return { line: Math.max(line, 1), column: Math.max(col, 1) }
}

interface Child {
  /** Of a member: where its name stands. */
  readonly key: Node | undefined
  readonly value: Node | null
}

function childOf(node: Node | null, part: string): Child | undefined {
  if (isSeq(node)) {
    const item = node.items[Number(part)]
    return isNode(item) ? { key: undefined, value: item } : undefined
  }
  if (!isMap(node)) return undefined
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === part)
  if (pair === undefined || !isNode(pair.key)) return undefined
  return { key: pair.key, value: isNode(pair.value) ? pair.value : null }
}

function startOf(node: Node | null | undefined): number | undefined {
  return node?.range?.[0]
}
