import { type ASTNode, Optional } from '@marcbachmann/cel-js'
import type { Budget } from './budget.ts'
import {
  chargeCall,
  chargeCatch,
  chargeError,
  finds,
  matchesText,
  regularExpression,
  takesPlaces,
  withPlaces,
} from './cel-functions.ts'
import { ownFunction, ownMethod } from './cel-library.ts'
import { calculateTime } from './cel-time.ts'
import {
  type Arithmetic,
  asNumber,
  calculate,
  charge,
  equal,
  Fault,
  isIn,
  isRecord,
  keysOf,
  member,
  type Relation,
  relate,
  SPENT,
  unwrapped,
} from './cel-values.ts'
import type { Scope } from './scope.ts'

/**
 * Rewrites the syntax tree of a condition before it first runs. cel-js evaluates a tree by asking each node, and lets a
 * node's `check` and `evaluate` be set; so the operations on untyped values are ours (cel-values.ts), and everything
 * else stays the library's.
 */

/** The part of cel-js's evaluator that a node uses. */
export interface Evaluator {
  run(node: CelNode, context: Context): unknown
  debugType(value: unknown): unknown
  debugTypeDeep(value: unknown): unknown
  createError(code: string, message: string): unknown
  tryEval(node: CelNode, context: Context): unknown
  readonly mapType: unknown
}

interface Context {
  getValue(name: string): unknown
}

interface CelType {
  readonly kind: string
  readonly name: string
  readonly valueType?: CelType
}

interface Checker {
  readonly dynType: CelType
  readonly boolType: CelType
  readonly doubleType: CelType
  check(node: CelNode, context: unknown): CelType
}

type Evaluate = (evaluator: Evaluator, node: CelNode, context: Context) => unknown
type Check = (checker: Checker, node: CelNode, context: unknown) => CelType

interface Macro {
  typeCheck(checker: Checker, macro: unknown, context: unknown): CelType
  evaluate(evaluator: Evaluator, macro: unknown, context: Context): unknown
}

interface Meta {
  readonly check: Check
  readonly alternate?: CelNode
}

interface Hooks {
  readonly meta: Meta
  readonly checkedType?: CelType
  setMeta(key: 'check', value: Check): this
  setMeta(key: 'evaluate', value: Evaluate): this
  setMeta(key: 'macro', value: Macro): this
  setMeta(key: 'async', value: false): this
  evaluate: Evaluate
  // The library's own way to work out the node once its operands are known; its parameters differ by kind of node.
  handle(...values: unknown[]): unknown
}

export type CelNode = ASTNode & Hooks

/** cel-js declares its nodes for readers only; the members by which a node is rewritten are there all the same. */
export function celNode(node: ASTNode): CelNode {
  return node as CelNode
}

/** The nodes that the author of the condition wrote below this one. */
export function children(node: CelNode): CelNode[] {
  return operands(node).map(celNode)
}

function operands(node: ASTNode): readonly ASTNode[] {
  switch (node.op) {
    case 'value':
    case 'id':
      return []
    case '.':
    case '.?':
      return [node.args[0]]
    case 'call':
      return node.args[1]
    case 'rcall':
      return [node.args[1], ...node.args[2]]
    case 'map':
      return node.args.flat()
    case '!_':
    case '-_':
      return [node.args]
    default:
      return node.args
  }
}

// Evaluation is synchronous and conditions do not nest: what they see and spend is set before each, and read by all nodes.
let budget: Budget
let scope: Scope

export function enter(seen: Scope, spent: Budget): void {
  scope = seen
  budget = spent
}

/** Makes every step count, and leaves types of data to their outermost layer. */
export function meter(evaluator: Evaluator): void {
  const { debugType } = evaluator
  evaluator.run = (node, context) => {
    if (--budget.left < 0) throw SPENT
    return node.evaluate(evaluator, node, context)
  }
  evaluator.tryEval = (node, context) => {
    try {
      return evaluator.run(node, context)
    } catch (error) {
      chargeCatch(budget)
      return error
    }
  }
  // A member named "constructor" would pass for the object's class.
  evaluator.debugType = (value) => (isRecord(value) ? evaluator.mapType : debugType.call(evaluator, value))
  // The library keeps every type that it ever met: with `list<map<string, list<…>>>` for each shape of a request's data,
  // callers could fill the memory.
  evaluator.debugTypeDeep = evaluator.debugType
  // The library's captures a stack and draws a picture of the place, for every item of a list that has none.
  evaluator.createError = (_code, message) => new Fault(message)
}

/** Before the types are checked. */
export function prepare(node: CelNode): void {
  if (isArithmetic(node)) node.setMeta('check', checkArithmetic(node.meta.check))
  else if (node.op === '==' || node.op === '!=' || node.op === 'in')
    node.setMeta('check', checkNumbers(node.meta.check))
  else if (node.op === 'call' && node.args[0] === 'has') prepareHas(node, node.args[1].map(celNode))
}

/** After the types have been checked. */
export function instrument(node: CelNode): void {
  const evaluate = evaluation(node)
  if (evaluate !== undefined) node.setMeta('evaluate', evaluate)
}

function evaluation(node: CelNode): Evaluate | undefined {
  switch (node.op) {
    case 'id':
      return variable(node.args)
    case '.':
      return select(celNode(node.args[0]), node.args[1])
    case '[]':
      return subscript(celNode(node.args[0]), celNode(node.args[1]))
    case '.?':
      return optionalSelect(celNode(node.args[0]), node.args[1])
    case '[?]':
      return optionalSubscript(celNode(node.args[0]), celNode(node.args[1]))
    case '==':
      return equality(celNode(node.args[0]), celNode(node.args[1]), true)
    case '!=':
      return equality(celNode(node.args[0]), celNode(node.args[1]), false)
    case 'in':
      return membership(celNode(node.args[0]), celNode(node.args[1]))
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return arithmetic(node.op, celNode(node.args[0]), celNode(node.args[1]))
    case '<':
    case '<=':
    case '>':
    case '>=':
      return relation(node.op, celNode(node.args[0]), celNode(node.args[1]))
    case 'map':
      return node.args.length === 0
        ? undefined
        : mapLiteral(node.args.map(([key, value]) => [celNode(key), celNode(value)]))
    case 'call':
      return isMacro(node) ? undefined : call(node, node.args[0])
    case 'rcall':
      return method(node, node.args[0])
    default:
      return undefined
  }
}

function variable(name: string): Evaluate {
  return (_evaluator, _node, context) => {
    const value = context.getValue(name)
    if (value === undefined) throw new Fault(`no such variable: ${name}`)
    return value
  }
}

function select(from: CelNode, key: string): Evaluate {
  // `subject.id`: the check of the types has seen that there is such a field.
  if (from.op === 'id' && from.checkedType?.kind === 'message') {
    return (evaluator, _node, context) => field(evaluator.run(from, context), key)
  }
  const absent = new Fault(`no such attribute: ${key}`)
  return (evaluator, node, context) => {
    const value = evaluator.run(from, context)
    if (!isRecord(value)) return accessOther(value, key, node, evaluator)
    const found = member(value, key)
    if (found === undefined) throw absent
    return found
  }
}

function field(view: unknown, key: string): unknown {
  return typeof view === 'object' && view !== null ? Reflect.get(view, key) : undefined
}

function subscript(from: CelNode, by: CelNode): Evaluate {
  return (evaluator, node, context) => {
    const value = evaluator.run(from, context)
    const key = evaluator.run(by, context)
    if (!isRecord(value)) return accessOther(value, key, node, evaluator)
    const found = typeof key === 'object' ? undefined : member(value, String(key))
    if (found === undefined) throw new Fault('no such attribute')
    return found
  }
}

/** What the library does: items of lists, fields of entities, members of optional values. */
function accessOther(value: unknown, key: unknown, node: CelNode, evaluator: Evaluator): unknown {
  return value instanceof Optional
    ? optionalAccess(unwrapped(value), key, node, evaluator)
    : handled(node, value, key, node, evaluator)
}

function optionalSelect(from: CelNode, key: string): Evaluate {
  return (evaluator, node, context) => {
    const value = evaluator.run(from, context)
    return optionalAccess(unwrapped(value), key, node, evaluator)
  }
}

function optionalSubscript(from: CelNode, by: CelNode): Evaluate {
  return (evaluator, node, context) => {
    const value = evaluator.run(from, context)
    const key = evaluator.run(by, context)
    return optionalAccess(unwrapped(value), key, node, evaluator)
  }
}

const NOTHING = {}

/** The library makes an error of an index that is out of range, and then nothing of the error: that takes long. */
function optionalAccess(value: unknown, key: unknown, node: CelNode, evaluator: Evaluator): unknown {
  const at = typeof key === 'bigint' ? Number(key) : key
  const absent = value === undefined || (Array.isArray(value) && !(typeof at === 'number' && at in value))
  return absent ? node.handle(NOTHING, 'absent', node, evaluator) : handled(node, value, key, node, evaluator)
}

/** Leaves a node to the library, and pays for the errors that it makes. */
function handled(node: CelNode, a: unknown, b: unknown, c: unknown, d?: unknown): unknown {
  try {
    return node.handle(a, b, c, d)
  } catch (error) {
    if (!(error instanceof Fault)) chargeError(node.start, budget)
    throw error
  }
}

// Measured: 0.2 µs to make a member, as much again to collect it, and more where its name was made as well.
const STEPS_PER_MADE_MEMBER = 24

/** The library leaves out members named "constructor". */
function mapLiteral(entries: readonly (readonly [CelNode, CelNode])[]): Evaluate {
  return (evaluator, _node, context) => {
    charge(budget, entries.length * STEPS_PER_MADE_MEMBER)
    return Object.fromEntries(
      entries.map(([key, value]) => [nameOf(evaluator.run(key, context)), evaluator.run(value, context)]),
    )
  }
}

function nameOf(key: unknown): string {
  if (typeof key === 'string') return key
  if (typeof key === 'boolean' || asNumber(key) !== undefined) return String(key)
  throw new Fault('the key of a map is a text, a number or a boolean')
}

function equality(left: CelNode, right: CelNode, wanted: boolean): Evaluate {
  return (evaluator, _node, context) =>
    equal(evaluator.run(left, context), evaluator.run(right, context), budget) === wanted
}

function membership(left: CelNode, right: CelNode): Evaluate {
  return (evaluator, node, context) => {
    const value = evaluator.run(left, context)
    const collection = evaluator.run(right, context)
    return isIn(value, collection, budget) ?? handled(node, value, collection, node, evaluator)
  }
}

function arithmetic(operator: Arithmetic, left: CelNode, right: CelNode): Evaluate {
  return (evaluator, node, context) => {
    const a = evaluator.run(left, context)
    const b = evaluator.run(right, context)
    return (
      calculate(operator, a, b, budget) ?? calculateTime(operator, a, b, budget) ?? handled(node, a, b, node, evaluator)
    )
  }
}

function relation(operator: Relation, left: CelNode, right: CelNode): Evaluate {
  return (evaluator, node, context) => {
    const a = evaluator.run(left, context)
    const b = evaluator.run(right, context)
    return relate(operator, a, b, budget) ?? handled(node, a, b, node, evaluator)
  }
}

function call(node: CelNode, name: string): Evaluate | undefined {
  const below = children(node)
  if (name === 'matches') return regularMatch(below)
  const own = ownFunction(name, below)
  return (evaluator, self, context) => {
    const values = below.map((operand) => evaluator.run(operand, context))
    chargeCall(name, values, budget)
    return own?.(values, budget, scope) ?? handled(self, values, self, evaluator)
  }
}

function method(node: CelNode, name: string): Evaluate | undefined {
  const { alternate } = node.meta
  if (alternate !== undefined) {
    // A comprehension: its steps are counted as they are run, and here the listing of what it goes over.
    const [range] = children(node)
    if (range !== undefined) alternate.setMeta('evaluate', comprehension(range))
    return undefined
  }
  if (isMacro(node)) return undefined
  const below = children(node)
  if (name === 'matches') return regularMatch(below)
  const own = ownMethod(name, below)
  return (evaluator, self, context) => {
    const values = below.map((operand) => evaluator.run(operand, context))
    chargeCall(name, values, budget)
    return (
      own?.(values, budget, scope) ?? handled(self, takesPlaces(name) ? withPlaces(values) : values, evaluator, self)
    )
  }
}

function comprehension(range: CelNode): Evaluate {
  return (evaluator, node, context) => {
    const over = evaluator.run(range, context)
    // Of a timestamp the library would list no members, and all of them meet everything.
    if (!Array.isArray(over) && !isRecord(over)) throw new Fault('only lists and maps have items')
    return node.handle(Array.isArray(over) ? over : keysOf(over, budget), node.args, evaluator, context)
  }
}

/** `matches`, which cel-js gives to backtracking regular expressions and does not let be replaced. */
function regularMatch([text, pattern]: CelNode[]): Evaluate | undefined {
  if (text === undefined || pattern === undefined) return undefined
  if (pattern.op !== 'value') {
    return (evaluator, _node, context) =>
      matchesText(asText(evaluator.run(text, context)), asText(evaluator.run(pattern, context)), budget)
  }
  const expression = regularExpression(asText(pattern.args))
  return (evaluator, _node, context) => finds(expression, asText(evaluator.run(text, context)), budget)
}

function asText(value: unknown): string {
  if (typeof value !== 'string') throw new Fault('matches() needs two strings')
  return value
}

/** A macro works on its operands unevaluated: `has`, `cel.bind`. */
function isMacro(node: CelNode): boolean {
  return 'macro' in node.meta
}

export function isComprehension(node: CelNode): boolean {
  return node.meta.alternate !== undefined
}

function isArithmetic(node: CelNode): boolean {
  return node.op === '+' || node.op === '-' || node.op === '*' || node.op === '/' || node.op === '%'
}

/**
 * The library takes `untyped + 1` for an integer, and then fails on every JSON number. Here it is untyped, and the
 * integer literals in it are doubles.
 */
function checkArithmetic(check: Check): Check {
  return (checker, node, context) => {
    const sides = children(node)
    const [left, right] = sides.map((side) => checker.check(side, context))
    if (left !== undefined && right !== undefined && left !== right && isNumeric(left) && isNumeric(right)) {
      node.setMeta('async', false)
      return checker.doubleType
    }
    const type = check(checker, node, context)
    // The library takes `duration + timestamp` for a duration.
    if (right?.name === 'google.protobuf.Timestamp' && node.op === '+') return right
    if (!sides.some((side) => side.checkedType?.kind === 'dyn')) return type
    for (const side of sides) toDoubles(side)
    return checker.dynType
  }
}

/** Numbers of all types compare by value; the library refuses `uint(n) == 3`. */
function checkNumbers(check: Check): Check {
  return (checker, node, context) => {
    const [left, right] = children(node).map((side) => checker.check(side, context))
    const other = node.op === 'in' ? right?.valueType : right
    if (left === undefined || other === undefined || left === other || !isNumeric(left) || !isNumeric(other)) {
      return check(checker, node, context)
    }
    node.setMeta('async', false)
    return checker.boolType
  }
}

function isNumeric({ name }: CelType): boolean {
  return name === 'int' || name === 'uint' || name === 'double'
}

/** `has(list[0].name)`: the library has it of chains of names alone. */
function prepareHas(node: CelNode, [argument]: readonly CelNode[]): void {
  if (argument?.op !== '.') return
  const from = celNode(argument.args[0])
  const key = argument.args[1]
  node.setMeta('macro', {
    typeCheck(checker, _macro, context) {
      checker.check(argument, context)
      return checker.boolType
    },
    evaluate(evaluator, _macro, context) {
      const value = evaluator.run(from, context)
      const held = unwrapped(value)
      if (held === undefined) return false
      if (isRecord(held)) return Object.hasOwn(held, key)
      return from.checkedType?.kind === 'message'
    },
  })
}

function toDoubles(node: CelNode): void {
  if (node.op === 'value') {
    if (typeof node.args === 'bigint') Object.assign(node, { args: Number(node.args) })
  } else if (isArithmetic(node) || node.op === '-_') children(node).forEach(toDoubles)
}
