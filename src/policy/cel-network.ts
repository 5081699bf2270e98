import type { Budget } from './budget.ts'
import { charge, Fault } from './cel-values.ts'

/**
 * Addresses and networks of IPv4 and IPv6. An IPv4 address that is written within IPv6 (`::ffff:10.0.0.1`) is an IPv4
 * address; otherwise the two are apart: no IPv4 address is in `::/0`.
 */

/** Four groups of 32 bits: of IPv6 all, of IPv4 the last. */
type Words = readonly [number, number, number, number]

interface Address {
  readonly isV4: boolean
  readonly words: Words
}

export interface Network extends Address {
  /** How many of the 128 bits are the network's. */
  readonly prefix: number
}

// Measured: some 0.5 µs to read an IPv4 address, 3 µs for one of IPv6.
const STEPS_PER_ADDRESS = 50
// The longest: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128`.
const MAX_LENGTH = 49

/** Whether an address lies in one of the networks. Throws a fault where the address is none. */
export function isInNetwork(text: unknown, networks: readonly Network[], budget: Budget): boolean {
  charge(budget, STEPS_PER_ADDRESS + networks.length)
  const address = parseAddress(text)
  return networks.some((network) => contains(network, address))
}

/** One network, or a list of them; every one of the list is read, so that a wrong one is an error wherever it stands. */
export function parseNetworks(given: unknown, budget: Budget): readonly Network[] {
  const texts: readonly unknown[] = Array.isArray(given) ? given : [given]
  charge(budget, STEPS_PER_ADDRESS * texts.length)
  return texts.map(parseNetwork)
}

/** `10.0.0.0/8`, or one address. Throws a fault that says what is wrong. */
export function parseNetwork(text: unknown): Network {
  if (typeof text !== 'string' || text.length > MAX_LENGTH) throw new Fault('a network is a text like "10.0.0.0/8"')
  const slash = text.indexOf('/')
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash))
  const prefix = slash < 0 ? 128 : prefixOf(text, slash, address)
  if (!address.words.every((word, at) => (word & ~maskOf(prefix, at)) === 0)) {
    throw new Fault(`${text} is no network: it has bits beyond its prefix`)
  }
  return { ...address, prefix }
}

function prefixOf(text: string, slash: number, { isV4 }: Address): number {
  const written = text.slice(slash + 1)
  const length = /^(?:0|[1-9]\d{0,2})$/.test(written) ? Number(written) : Number.NaN
  // `::ffff:10.0.0.0/104` counts from the beginning of the 128 bits, `10.0.0.0/8` from where IPv4 begins.
  const prefix = isV4 && !text.includes(':') ? length + 96 : length
  if (prefix <= 128 && prefix >= (isV4 ? 96 : 0)) return prefix
  throw new Fault(`${text} is no network: it has no prefix like "/8"`)
}

function parseAddress(text: unknown): Address {
  const address = typeof text === 'string' && text.length <= MAX_LENGTH ? (ofV4(text) ?? ofV6(text)) : undefined
  if (address === undefined) throw new Fault('an address is a text like "10.0.0.1" or "2001:db8::1"')
  return address
}

// Without leading zeros, which some read as octal.
const V4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/

function ofV4(text: string): Address | undefined {
  return V4.test(text) ? { isV4: true, words: [0, 0, 0xffff, wordOf(text)] } : undefined
}

function wordOf(text: string): number {
  return text.split('.').reduce((word, part) => (word << 8) | Number(part), 0)
}

function ofV6(text: string): Address | undefined {
  const [head = '', tail, more] = text.split('::')
  const before = groupsOf(head, tail === undefined)
  const after = groupsOf(tail ?? '', true)
  if (before === undefined || after === undefined || more !== undefined) return undefined
  const missing = 8 - before.length - after.length
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined
  const groups = [...before, ...Array<number>(missing).fill(0), ...after]
  const word = (at: number) => ((groups[at] ?? 0) << 16) | (groups[at + 1] ?? 0)
  const words: Words = [word(0), word(2), word(4), word(6)]
  return { isV4: words[0] === 0 && words[1] === 0 && words[2] === 0xffff, words }
}

/** Groups of 16 bits. The last two of the address may be written as an IPv4 address. */
function groupsOf(text: string, last: boolean): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [at, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16))
    else if (last && at === parts.length - 1 && V4.test(part)) groups.push(wordOf(part) >>> 16, wordOf(part) & 0xffff)
    else return undefined
  }
  return groups
}

function contains(network: Network, address: Address): boolean {
  if (network.isV4 !== address.isV4) return false
  return network.words.every((word, at) => (((address.words[at] ?? 0) ^ word) & maskOf(network.prefix, at)) === 0)
}

/** The bits of a prefix that fall into one of the four words. */
function maskOf(prefix: number, at: number): number {
  const bits = Math.min(Math.max(prefix - at * 32, 0), 32)
  return bits === 0 ? 0 : -1 << (32 - bits)
}
