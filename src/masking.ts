import { type Hash, MASK_KINDS, type MaskKind, masked, REMOVED } from './masking/kinds.ts'
import { type Path, readPath } from './masking/path.ts'

export { type Hash, MASK_KINDS, type MaskKind } from './masking/kinds.ts'

/** What is to be masked: by path (`email`, `cards.number`, `people.*.ssn`), how; and what becomes of all else. */
export interface Masking {
  readonly fields: Readonly<Record<string, MaskKind>>
  /** `keep` where it is absent. */
  readonly others?: 'keep' | 'remove'
}

export interface MaskedRecord {
  /** A copy; what was given is left as it is. */
  readonly record: unknown
  /** What was done, in the order of the record: where (places in lists are left out), and how. */
  readonly masked: readonly { readonly path: string; readonly kind: MaskKind }[]
}

interface Entry {
  readonly rest: Path
  readonly kind: MaskKind
}

interface Walk {
  readonly keeps: boolean
  readonly hash: Hash | undefined
  readonly room: Room
  readonly done: Map<string, MaskKind>
}

/** Steps that are left: 50 to 100 ns each. */
interface Room {
  left: number
}

export interface MaskOptions {
  /** Without it, what should be hashed is removed. */
  readonly hash?: Hash
  /** How much work there may be, in steps of 50 to 100 ns; as much as there is where it is left out. */
  readonly steps?: number
}

const HASH_STEPS = 100
/** Names of what is masked are told: of a deep record with long names they would be many times its size. */
const NAMED_PER_STEP = 16

/**
 * A copy of a record (anything that JSON can say) in which the fields are masked. Where two paths name one value, the
 * stricter kind counts. An object under a kind that is made for text is removed. A TypeError: the masking cannot be read.
 * A RangeError: it takes more steps than it may.
 */
export function mask(record: unknown, masking: Masking, options: MaskOptions = {}): MaskedRecord {
  return shown(record, entriesOf(masking), masking.others !== 'remove', options.hash, roomOf(options))
}

/**
 * The same with several maskings at once. What one of them removes is gone, whatever another keeps, and where several
 * name one value the strictest kind counts. `others` is about what none of them names.
 */
export function maskAll(
  record: unknown,
  maskings: readonly Masking[],
  others: 'keep' | 'remove',
  options: MaskOptions = {},
): MaskedRecord {
  const room = roomOf(options)
  let left = record
  for (const masking of maskings) {
    if (masking.others !== 'remove') continue
    const named = entriesOf(masking).map(({ rest }): Entry => ({ rest, kind: 'clear' }))
    left = shown(left, named, false, undefined, room).record
  }
  return shown(left, maskings.flatMap(entriesOf), others === 'keep', options.hash, room)
}

function roomOf({ steps = Number.POSITIVE_INFINITY }: MaskOptions): Room {
  return { left: steps }
}

function shown(
  record: unknown,
  entries: readonly Entry[],
  keeps: boolean,
  hash: Hash | undefined,
  room: Room,
): MaskedRecord {
  const walk: Walk = { keeps, hash, room, done: new Map() }
  const copy = walked(record, entries, '', walk)
  return {
    record: copy === REMOVED ? null : copy,
    masked: [...walk.done].map(([path, kind]) => ({ path, kind })),
  }
}

function spend({ room }: Walk, steps: number): void {
  room.left -= steps
  if (room.left < 0) throw new RangeError('to mask this record takes more work than it may')
}

/** What came over the wire is unknown until here: a masking that cannot be read masks nothing, so it is no masking. */
export function readMasking(given: unknown): Masking {
  if (!isObject(given) || !isObject(given['fields']) || Array.isArray(given['fields']))
    throw new TypeError('a masking names its fields')
  const { fields, others = 'keep' } = given
  if (others !== 'keep' && others !== 'remove') throw new TypeError('others are kept or removed')
  const kinds = Object.entries(fields).map(([path, kind]) => [path, kindOf(path, kind)] as const)
  const masking = { fields: Object.fromEntries(kinds), others } as const
  entriesOf(masking)
  return masking
}

function kindOf(path: string, given: unknown): MaskKind {
  const kind = MASK_KINDS.find((known) => known === given)
  if (kind === undefined) throw new TypeError(`${path}: there is no such way to mask as ${JSON.stringify(given)}`)
  return kind
}

function entriesOf({ fields }: Masking): Entry[] {
  return Object.entries(fields).map(([path, kind]) => {
    const rest = readPath(path)
    if (rest === undefined)
      throw new TypeError(`${path}: not a path: names with a dot between, * for any, or ["a name"]`)
    return { rest, kind }
  })
}

function walked(given: unknown, entries: readonly Entry[], path: string, walk: Walk): unknown {
  const value = asJson(given)
  spend(walk, 1 + entries.length)
  if (Array.isArray(value)) {
    return value.map((item) => walked(item, entries, path, walk)).filter((item) => item !== REMOVED)
  }
  const kind = strictest(entries)
  if (kind !== undefined && kind !== 'clear') return replaced(value, kind, path, walk)
  // Something is shown whole, but for what is named within it.
  const within: Walk = kind === 'clear' ? { ...walk, keeps: true } : walk
  if (isObject(value)) return members(value, entries, path, within)
  return within.keeps ? value : REMOVED
}

function members(value: object, entries: readonly Entry[], path: string, walk: Walk): object {
  const copies = Object.entries(value).map(([name, member]) => {
    spend(walk, 1 + entries.length)
    const beneath = entries.flatMap(({ rest: [head, ...rest], kind }) =>
      head === null || head === name ? [{ rest, kind }] : [],
    )
    return [
      name,
      beneath.length === 0 ? other(member, walk) : walked(member, beneath, below(path, name), walk),
    ] as const
  })
  return Object.fromEntries(copies.filter(([, copy]) => copy !== REMOVED))
}

const other = (member: unknown, { keeps }: Walk) => (keeps ? member : REMOVED)

function replaced(value: unknown, kind: MaskKind, path: string, walk: Walk): unknown {
  const { hash, done } = walk
  spend(walk, (kind === 'hash' ? HASH_STEPS : 1) + path.length / NAMED_PER_STEP)
  const copy = isObject(value) && kind !== 'null' ? REMOVED : masked(value, kind, hash)
  done.set(path, copy === REMOVED ? 'remove' : kind)
  return copy
}

/** Of the paths that end here. */
function strictest(entries: readonly Entry[]): MaskKind | undefined {
  const here = entries.filter(({ rest }) => rest.length === 0).map(({ kind }) => MASK_KINDS.indexOf(kind))
  return here.length === 0 ? undefined : MASK_KINDS[Math.max(...here)]
}

/** As it would be sent: a Date is text by then. */
function asJson(value: unknown): unknown {
  return isObject(value) && typeof value['toJSON'] === 'function' ? value['toJSON']() : value
}

function below(path: string, name: string): string {
  if (!/^[^.[\]"*\p{Cc}]+$/u.test(name)) return `${path}[${JSON.stringify(name)}]`
  return path === '' ? name : `${path}.${name}`
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
