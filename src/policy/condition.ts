import { Environment } from '@marcbachmann/cel-js'
import type { Budget } from './budget.ts'
import { notCalled, OWN_SIGNATURES } from './cel-library.ts'
import {
  type CelNode,
  celNode,
  children,
  type Evaluator,
  enter,
  instrument,
  isComprehension,
  meter,
  prepare,
} from './cel-nodes.ts'
import { Fault, Located } from './cel-values.ts'
import { ActionView, ResourceView, type Scope, SubjectView } from './scope.ts'

/** A compiled condition. Those of one text are one object within a tenant. */
export interface Condition {
  readonly text: string
  /** True, false, or an error: then undefined. Nothing is thrown. */
  holds(scope: Scope, budget: Budget): boolean | undefined
}

/** What is wrong with the text of a condition, and where; lines and columns count from 1. */
export interface ConditionFault {
  readonly detail: string
  readonly line: number
  readonly column: number
}

const MAX_NODES = 4000
const MAX_TREE_DEPTH = 250
const MAX_NESTED_COMPREHENSIONS = 3

const environment = new Environment({
  homogeneousAggregateLiterals: false,
  enableOptionalTypes: true,
  limits: { maxAstNodes: MAX_NODES, maxDepth: 64, maxListElements: 1000, maxMapEntries: 1000, maxCallArguments: 8 },
})
  .registerType('Subject', {
    ctor: SubjectView,
    fields: { type: 'string', id: 'string', properties: 'dyn', roles: 'list<string>', known: 'bool' },
  })
  .registerType('Resource', {
    ctor: ResourceView,
    fields: { type: 'string', id: 'string', properties: 'dyn', known: 'bool' },
  })
  .registerType('Action', { ctor: ActionView, fields: { name: 'string', properties: 'dyn' } })
  .registerVariable('subject', 'Subject')
  .registerVariable('action', 'Action')
  .registerVariable('resource', 'Resource')
  .registerVariable('context', 'map<string, dyn>')
  .registerVariable('now', 'google.protobuf.Timestamp')

for (const signature of OWN_SIGNATURES) environment.registerFunction(signature, notCalled, { async: false })

meter(evaluatorOf(environment))

/** An environment keeps its evaluator to itself, and hands it to every node that it evaluates. */
function evaluatorOf(of: Environment): Evaluator {
  const parsed = of.parse('true')
  const found: Evaluator[] = []
  celNode(parsed.ast).setMeta('evaluate', (evaluator) => found.push(evaluator))
  parsed({})
  const [evaluator] = found
  if (evaluator === undefined) throw new Error('cel-js did not evaluate a node')
  return evaluator
}

/** Compiles a condition, or says what is wrong with it. */
export function compileCondition(text: string): Condition | ConditionFault {
  try {
    const { run } = compileTree(text)
    return { text, holds: (scope, budget) => evaluate(run, scope, budget) }
  } catch (error) {
    return faultOf(error, text)
  }
}

/** A condition as a tree that can be run, with all of its nodes. Throws what is wrong with the text. */
export function compileTree(text: string): { readonly run: (scope: Scope) => unknown; readonly nodes: CelNode[] } {
  const parsed = environment.parse(text)
  const nodes = walk(celNode(parsed.ast))
  nodes.forEach(prepare)
  const checked = parsed.check()
  if (!checked.valid) throw checked.error ?? new Fault('it is not valid')
  if (checked.type !== 'bool' && checked.type !== 'dyn') {
    throw new Fault(`a condition is true or false, and this is of type ${checked.type}`)
  }
  nodes.forEach(instrumentLocated)
  return { run: parsed, nodes }
}

/** What stands for a condition that cannot be compiled. */
export function alwaysErrs(text: string): Condition {
  return { text, holds: () => undefined }
}

export function isFault(compiled: Condition | ConditionFault): compiled is ConditionFault {
  return 'detail' in compiled
}

function evaluate(parsed: (scope: Scope) => unknown, scope: Scope, budget: Budget): boolean | undefined {
  if (budget.spent) return undefined
  enter(scope, budget)
  try {
    // `||` and `exists` go on after an error, but not after this one: every further step fails like the first.
    const result = parsed(scope)
    return typeof result === 'boolean' ? result : undefined
  } catch {
    return undefined
  }
}

interface Visit {
  readonly node: CelNode
  readonly depth: number
  readonly loops: number
}

/** All nodes, by a loop: the limits are what makes recursion over the tree safe. */
function walk(root: CelNode): CelNode[] {
  const nodes: CelNode[] = []
  const open: Visit[] = [{ node: root, depth: 1, loops: 0 }]
  for (let visit = open.pop(); visit !== undefined; visit = open.pop()) {
    const { node, depth } = visit
    const loops = visit.loops + (isComprehension(node) ? 1 : 0)
    if (depth > MAX_TREE_DEPTH) throw new Located(`nested more than ${MAX_TREE_DEPTH} deep`, node)
    if (loops > MAX_NESTED_COMPREHENSIONS) {
      throw new Located(`more than ${MAX_NESTED_COMPREHENSIONS} comprehensions within one another`, node)
    }
    nodes.push(node)
    for (const child of children(node)) open.push({ node: child, depth: depth + 1, loops })
  }
  return nodes
}

function instrumentLocated(node: CelNode): void {
  try {
    instrument(node)
  } catch (error) {
    throw error instanceof Fault ? new Located(error.message, node) : error
  }
}

/** What was thrown, and where: by its own account, or at `start` in the text. */
export function faultOf(error: unknown, text: string, start?: number): ConditionFault {
  const { summary, range } = detailsOf(error)
  const before = text.slice(0, start ?? range?.start ?? 0)
  const line = before.split('\n').length
  return { detail: summary, line, column: before.length - before.lastIndexOf('\n') }
}

function detailsOf(error: unknown): { summary: string; range?: { readonly start: number } | undefined } {
  if (error instanceof RangeError) return { summary: 'nested too deep' }
  if (!(error instanceof Error)) return { summary: 'it cannot be compiled' }
  const { message, summary = message, range }: Partial<Located> & Error = error
  return { summary, range }
}
