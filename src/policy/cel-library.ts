import type { Budget } from './budget.ts'
import { intersects, subset } from './cel-lists.ts'
import { isInNetwork, type Network, parseNetwork, parseNetworks } from './cel-network.ts'
import type { CelNode } from './cel-nodes.ts'
import { checkZone, duration, FIELDS_OF_TIME, fieldOfTime, secondsOf, timeAsText, timestamp } from './cel-time.ts'
import { Fault, Located, member } from './cel-values.ts'
import { ResourceView, type Scope, SubjectView } from './scope.ts'

/**
 * Functions of conditions that are ours: those that CEL has not (addresses, sets, levels), and those of its own that
 * cel-js lacks, or has otherwise than CEL or than JSON needs.
 */

/** What a call gives, of values of any type. undefined: left to cel-js. */
export type Call = (values: readonly unknown[], budget: Budget, scope: Scope) => unknown

/** Made for one call in one condition: what is constant in it is checked, and read, once. */
type Prepare = (operands: readonly CelNode[]) => Call

interface Own {
  /** What cel-js does not know of it: without these, the check of types would refuse the call. */
  readonly signatures?: readonly string[]
  readonly prepare: Prepare
}

const TIMESTAMP = 'google.protobuf.Timestamp'
const DURATION = 'google.protobuf.Duration'

const FUNCTIONS = new Map<string, Own>([
  ['ip_in', { signatures: ['ip_in(dyn, dyn): bool'], prepare: prepareIpIn }],
  [
    'intersects',
    {
      signatures: ['intersects(list, list): bool'],
      prepare:
        () =>
        ([a, b], budget) =>
          intersects(a, b, budget),
    },
  ],
  [
    'subset',
    {
      signatures: ['subset(list, list): bool'],
      prepare:
        () =>
        ([a, b], budget) =>
          subset(a, b, budget),
    },
  ],
  [
    'level',
    {
      signatures: ['level(dyn): int'],
      prepare:
        () =>
        ([of], _budget, scope) =>
          level(of, scope),
    },
  ],
  // The call itself is made by a linear-time engine (cel-nodes.ts).
  ['matches', { signatures: ['matches(string, string): bool'], prepare: () => notCalled }],
  [
    'timestamp',
    {
      signatures: [`timestamp(${TIMESTAMP}): ${TIMESTAMP}`, `timestamp(double): ${TIMESTAMP}`],
      prepare: checked(timestamp),
    },
  ],
  ['duration', { signatures: [`duration(${DURATION}): ${DURATION}`], prepare: checked(duration) }],
  ['int', { signatures: [`int(${TIMESTAMP}): int`], prepare: checked(toInt) }],
  ['double', { prepare: checked(checkDouble) }],
  [
    'string',
    {
      signatures: [`string(${TIMESTAMP}): string`, `string(${DURATION}): string`],
      prepare:
        () =>
        ([of]) =>
          timeAsText(of),
    },
  ],
])

const METHODS = new Map<string, Own>([
  [
    'lowerAscii',
    {
      prepare:
        () =>
        ([text]) =>
          mapAscii(text, /[A-Z]+/g, (run) => run.toLowerCase()),
    },
  ],
  [
    'upperAscii',
    {
      prepare:
        () =>
        ([text]) =>
          mapAscii(text, /[a-z]+/g, (run) => run.toUpperCase()),
    },
  ],
  ...FIELDS_OF_TIME.map((name) => [name, { prepare: prepareFieldOfTime(name) }] as const),
])

export const OWN_SIGNATURES: readonly string[] = [...FUNCTIONS.values()].flatMap(({ signatures = [] }) => signatures)

export function ownFunction(name: string, operands: readonly CelNode[]): Call | undefined {
  return FUNCTIONS.get(name)?.prepare(operands)
}

/** `operands` begin with what the method is called on. */
export function ownMethod(name: string, operands: readonly CelNode[]): Call | undefined {
  return METHODS.get(name)?.prepare(operands)
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
function mapAscii(text: unknown, runs: RegExp, map: (run: string) => string): string | undefined {
  return typeof text === 'string' ? text.replace(runs, map) : undefined
}
