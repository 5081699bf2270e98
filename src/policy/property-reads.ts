import { parse } from '@marcbachmann/cel-js'
import { type CelNode, celNode, children } from './cel-nodes.ts'

/** A property that a condition names literally, and where it names it; lines and columns count from 1. */
export interface PropertyRead {
  readonly of: 'subject' | 'resource'
  readonly name: string
  readonly line: number
  readonly column: number
}

/**
 * The properties that a condition names: `resource.properties.x`, `resource.properties["x"]`, and
 * `"x" in resource.properties`; of the subject likewise. A text that is no condition names none.
 */
export function propertyReads(text: string): PropertyRead[] {
  const reads: PropertyRead[] = []
  const open = [rootOf(text)]
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const named = nameRead(node)
    if (named !== undefined) reads.push({ of: named.of, name: named.name, ...positionOf(text, named.at) })
    open.push(...children(node))
  }
  return reads.sort((a, b) => a.line - b.line || a.column - b.column)
}

/** Whether a condition reads anything of the subject. */
export function readsSubject(text: string): boolean {
  const open = [rootOf(text)]
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (node.op === 'id' && node.args === 'subject') return true
    open.push(...children(node))
  }
  return false
}

function rootOf(text: string): CelNode | undefined {
  try {
    return celNode(parse(text).ast)
  } catch {
    return undefined
  }
}

interface Named {
  readonly of: PropertyRead['of']
  readonly name: string
  readonly at: number
}

function nameRead(node: CelNode): Named | undefined {
  if (node.op === '.' || node.op === '.?') {
    const of = propertiesOf(celNode(node.args[0]))
    return of === undefined ? undefined : { of, name: node.args[1], at: node.pos }
  }
  if (node.op === '[]' || node.op === '[?]') return literal(celNode(node.args[0]), celNode(node.args[1]))
  return node.op === 'in' ? literal(celNode(node.args[1]), celNode(node.args[0])) : undefined
}

function literal(from: CelNode, by: CelNode): Named | undefined {
  const of = propertiesOf(from)
  if (of === undefined || by.op !== 'value' || typeof by.args !== 'string') return undefined
  return { of, name: by.args, at: by.start }
}

function propertiesOf(node: CelNode): PropertyRead['of'] | undefined {
  if (node.op !== '.' || node.args[1] !== 'properties') return undefined
  const [root] = node.args
  if (root.op !== 'id') return undefined
  return root.args === 'subject' || root.args === 'resource' ? root.args : undefined
}

function positionOf(text: string, at: number): { line: number; column: number } {
  const before = text.slice(0, at)
  return { line: before.split('\n').length, column: before.length - before.lastIndexOf('\n') }
}
