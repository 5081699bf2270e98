import { BlockList, isIP, isIPv4 } from 'node:net'

/**
 * Where an outgoing request may go. Public addresses always; private networks where the deployment names them; some
 * never, whatever it names: this machine's own link, groups, and the places where clouds hand out credentials.
 */
export interface Destinations {
  allows(address: string): boolean
}

/** An address with the length of its prefix: `10.1.0.0/16`. */
export interface Network {
  readonly address: string
  readonly prefix: number
}

/** undefined: the text is no network in the form `address/prefix`. */
export function parseNetwork(text: string): Network | undefined {
  const [, address = '', length = ''] = /^([0-9A-Fa-f.:]+)\/(\d{1,3})$/.exec(text) ?? []
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  const prefix = Number(length)
  return prefix <= bits ? { address, prefix } : undefined
}

// Node's BlockList holds an IPv4-mapped IPv6 address against the IPv4 networks, too.
const NEVER = networks([
  '0.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/128',
  'fe80::/10',
  'ff00::/8',
  // Metadata services that stand outside the link-local networks: Azure, Alibaba, Oracle, AWS over IPv6.
  '168.63.129.16/32',
  '100.100.100.200/32',
  '192.0.0.192/32',
  'fd00:ec2::254/128',
])

// What IANA's registries of special-purpose addresses do not call globally reachable.
const NOT_PUBLIC = networks([
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  // Teredo, ORCHID and benchmarks; documentation; 6to4, which carries any IPv4 address.
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
])

/** All of IPv6 that is handed out to the public; NAT64 (64:ff9b::/96) and ULA (fc00::/7) lie outside. */
const GLOBAL_V6 = networks(['2000::/3'])
const MAPPED = networks(['::ffff:0:0/96'])
const LOOPBACK = networks(['127.0.0.0/8', '::1/128'])

export function destinations(allowed: readonly Network[]): Destinations {
  const named = listOf(allowed)
  return {
    allows(address) {
      if (isIP(address) === 0 || holds(NEVER, address)) return false
      return isPublic(address) || holds(named, address)
    },
  }
}

export function isLoopback(address: string): boolean {
  return isIP(address) !== 0 && holds(LOOPBACK, address)
}

function isPublic(address: string): boolean {
  if (holds(NOT_PUBLIC, address)) return false
  return isIPv4(address) || holds(GLOBAL_V6, address) || holds(MAPPED, address)
}

function holds(list: BlockList, address: string): boolean {
  return list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}

function networks(texts: readonly string[]): BlockList {
  return listOf(texts.map((text) => parseNetwork(text)).filter((network) => network !== undefined))
}

function listOf(all: readonly Network[]): BlockList {
  const list = new BlockList()
  for (const { address, prefix } of all) list.addSubnet(address, prefix, isIPv4(address) ? 'ipv4' : 'ipv6')
  return list
}
