import type { Budget } from './budget.ts'
import { intersects, subset } from './cel-lists.ts'
import { isInNetwork, type Network, parseNetwork, parseNetworks } from './cel-network.ts'
import type { CelNode } from './cel-nodes.ts'
import { checkZone, duration, FIELDS_OF_TIME, fieldOfTime, secondsOf, timeAsText, timestamp } from './cel-time.ts'
import { charge, Fault, isRecord, keysOf, Located, member } from './cel-values.ts'
import { ResourceView, type Scope, SubjectView } from './scope.ts'

/**
 * Functions of conditions that are ours: those that CEL has not (addresses, sets, levels), and those of its own that
 * cel-js lacks, or has otherwise than CEL or than JSON needs.
 */

/** What a call gives, of values of any type. undefined: left to cel-js. */
export type Call = (values: readonly unknown[], budget: Budget, scope: Scope) => unknown

/** Made for one call in one condition: what is constant in it is checked, and read, once. */
type Prepare = (operands: readonly CelNode[]) => Call

const TIMESTAMP = 'google.protobuf.Timestamp'
const DURATION = 'google.protobuf.Duration'

/** What cel-js does not know by itself: without these, the check of types would refuse the call. */
export const OWN_SIGNATURES: readonly string[] = [
  'ip_in(dyn, dyn): bool',
  'intersects(list, list): bool',
  'subset(list, list): bool',
  'level(dyn): int',
  // The call itself is made by a linear-time engine (cel-nodes.ts).
  'matches(string, string): bool',
  `timestamp(${TIMESTAMP}): ${TIMESTAMP}`,
  `timestamp(double): ${TIMESTAMP}`,
  `duration(${DURATION}): ${DURATION}`,
  `int(${TIMESTAMP}): int`,
  `string(${TIMESTAMP}): string`,
  `string(${DURATION}): string`,
]

const FUNCTIONS = new Map<string, Prepare>([
  ['ip_in', prepareIpIn],
  ['intersects', plain(([a, b], budget) => intersects(a, b, budget))],
  ['subset', plain(([a, b], budget) => subset(a, b, budget))],
  ['level', plain(([of], _budget, scope) => level(of, scope))],
  ['size', plain(([of], budget) => sizeOfMap(of, budget))],
  ['string', plain(([of], budget) => timeAsText(of, budget))],
  ['timestamp', checked(timestamp)],
  ['duration', checked(duration)],
  ['int', checked(toInt)],
  ['double', checked(checkDouble)],
])

const METHODS = new Map<string, Prepare>([
  ['size', plain(([of], budget) => sizeOfMap(of, budget))],
  ['lowerAscii', plain(([text], budget) => mapAscii(text, (run) => run.toLowerCase(), budget))],
  ['upperAscii', plain(([text], budget) => mapAscii(text, (run) => run.toUpperCase(), budget))],
  ...FIELDS_OF_TIME.map((name) => [name, prepareFieldOfTime(name)] as const),
])

export function ownFunction(name: string, operands: readonly CelNode[]): Call | undefined {
  return FUNCTIONS.get(name)?.(operands)
}

/** `operands` begin with what the method is called on. */
export function ownMethod(name: string, operands: readonly CelNode[]): Call | undefined {
  return METHODS.get(name)?.(operands)
}

function plain(call: Call): Prepare {
  return () => call
}

/** What cel-js is given for functions that it never gets to call. */
export function notCalled(): never {
  throw new Fault('it cannot be evaluated')
}

interface Constant {
  readonly value: unknown
}

function constant(node: CelNode | undefined): Constant | undefined {
  return node?.op === 'value' ? { value: node.args } : undefined
}

/** Says where in the condition a constant stands that is wrong. */
function located<T>(node: { readonly start: number }, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof Fault ? new Located(error.message, node) : error
  }
}

/** A function of one value: tried when the condition is written, if the value is known then. */
function checked(call: (value: unknown) => unknown): Prepare {
  return ([operand]) => {
    const known = constant(operand)
    if (operand !== undefined && known !== undefined) located(operand, () => call(known.value))
    return ([value]) => call(value)
  }
}

function prepareIpIn([, network]: readonly CelNode[]): Call {
  const known = network === undefined ? undefined : constantNetworks(network)
  if (known !== undefined) return ([address], budget) => isInNetwork(address, known, budget)
  return ([address, given], budget) => isInNetwork(address, parseNetworks(given, budget), budget)
}

function constantNetworks(node: CelNode): readonly Network[] | undefined {
  const items = node.op === 'list' ? node.args : [node]
  const networks: Network[] = []
  for (const item of items) {
    if (item.op !== 'value') return undefined
    networks.push(located(item, () => parseNetwork(item.args)))
  }
  return networks
}

function prepareFieldOfTime(name: string): Prepare {
  return ([, zone]) => {
    const known = constant(zone)?.value
    if (zone !== undefined && typeof known === 'string') located(zone, () => checkZone(known))
    return ([at, zoneName], budget) => fieldOfTime(name, at, zoneName, budget)
  }
}

/** The place of a level among the tenant's: given by its name or its place, or of an entity by its property `level`. */
function level(of: unknown, { levels }: Scope): bigint {
  const given = of instanceof SubjectView || of instanceof ResourceView ? member(of.properties, 'level') : of
  const place = typeof given === 'string' ? levels.indexOf(given) : Number(given)
  if (isNumeric(given) && Number.isInteger(place) && place >= 0 && place < levels.length) return BigInt(place)
  throw new Fault(`a level is one of ${levels.join(', ')}`)
}

function isNumeric(given: unknown): boolean {
  return typeof given === 'string' || typeof given === 'number' || typeof given === 'bigint'
}

// cel-js takes an empty text for 0, and other bases.
function toInt(value: unknown): bigint | undefined {
  if (value instanceof Date) return secondsOf(value)
  if (typeof value === 'string' && !/^[+-]?\d{1,19}$/.test(value)) throw new Fault('int() of a text that is no integer')
  if (typeof value === 'number' && !(Math.abs(value) < 2 ** 63)) throw new Fault('int() of a number that is too large')
  return undefined
}

const DECIMAL = /^[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)$/i

function checkDouble(value: unknown): undefined {
  if (typeof value === 'string' && !DECIMAL.test(value)) throw new Fault('double() of a text that is no number')
  return undefined
}

/** cel-js maps all of Unicode: the Kelvin sign would become a "k". */
function mapAscii(text: unknown, map: (run: string) => string, budget: Budget): string | undefined {
  if (typeof text !== 'string') return undefined
  if (ASCII.test(text)) return map(text)
  // Measured: up to 80 ns for each run.
  charge(budget, text.length)
  return text.replace(ASCII_RUNS, map)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: it is all of ASCII that is meant
const ASCII = /^[\x00-\x7f]*$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: see above
const ASCII_RUNS = /[\x00-\x7f]+/g

function sizeOfMap(of: unknown, budget: Budget): bigint | undefined {
  return isRecord(of) ? BigInt(keysOf(of, budget).length) : undefined
}
