import { BlockList, isIPv4, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Budget } from '../../src/policy/budget.ts'
import { isInNetwork, parseNetwork } from '../../src/policy/cel-network.ts'
import { holds } from '../support/condition-scope.ts'

describe('ip_in(address, network)', () => {
  test.each([
    ['10.1.2.3', '10.0.0.0/8', true],
    ['11.0.0.0', '10.0.0.0/8', false],
    ['9.255.255.255', '10.0.0.0/8', false],
    ['192.168.1.128', '192.168.1.128/25', true],
    ['192.168.1.127', '192.168.1.128/25', false],
    ['255.255.255.255', '255.255.255.255/32', true],
    ['10.0.0.1', '10.0.0.1', true],
    ['10.0.0.2', '10.0.0.1', false],
    ['8.8.8.8', '0.0.0.0/0', true],
    ['2001:db8::1', '2001:db8::/32', true],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::/32', true],
    ['2001:db9::1', '2001:db8::/32', false],
    ['fe80::1', 'fe80::/10', true],
    ['fec0::1', 'fe80::/10', false],
    ['::1', '::1', true],
    ['::1', '::/0', true],
    // An IPv4 address within IPv6 is that IPv4 address, on either side.
    ['::ffff:10.1.2.3', '10.0.0.0/8', true],
    ['::ffff:a01:203', '10.0.0.0/8', true],
    ['::ffff:11.1.2.3', '10.0.0.0/8', false],
    ['10.1.2.3', '::ffff:10.0.0.0/104', true],
    ['11.1.2.3', '::ffff:10.0.0.0/104', false],
    // And the two families are apart.
    ['10.1.2.3', '::/0', false],
    ['::ffff:10.1.2.3', '::/0', false],
    ['::10.1.2.3', '10.0.0.0/8', false],
    ['::1', '0.0.0.0/0', false],
  ])('%s in %s: %s', (ip, network, wanted) => {
    expect(holds('ip_in(context.ip, context.network)', { context: { ip, network } })).toBe(wanted)
    expect(holds(`ip_in(context.ip, "${network}")`, { context: { ip } })).toBe(wanted)
    expect(holds(`ip_in(context.ip, ["203.0.113.7", "${network}"])`, { context: { ip } })).toBe(wanted)
  })

  test.each([
    '',
    ' 10.0.0.1',
    '10.0.0.1 ',
    '10.0.0.1\n',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '0x0a.0.0.1',
    '10.0.0.1.2',
    '167772161',
    '10.0.0.1:80',
    '[::1]',
    '::1%eth0',
    ':::1',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    '12345::',
    'g::',
    '10.0.0.1::',
    '::10.0.0.1:1',
    ':1:2:3:4:5:6:7:8',
    '10.0.0.1/32',
    'localhost',
    7,
    null,
    ['10.0.0.1'],
  ])('%j is no address: an error, in whatever network', (ip) => {
    expect(holds('ip_in(context.ip, "0.0.0.0/0")', { context: { ip } })).toBeUndefined()
    expect(holds('!ip_in(context.ip, "::/0")', { context: { ip } })).toBeUndefined()
  })

  test.each([
    '',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0.0/8 ',
    '10.0.0.0/1e1',
    '10.0.0.0/255.0.0.0',
    '/8',
    '10/8',
    '::/129',
    '::ffff:10.0.0.0/8',
    // Meant to be narrow, and would be everything.
    '10.1.2.3/0',
    '10.0.0.1/8',
    '2001:db8::1/32',
    8,
    null,
    {},
  ])('%j is no network: an error, whatever the address', (network) => {
    expect(holds('ip_in("10.0.0.1", context.network)', { context: { network } })).toBeUndefined()
    expect(holds('ip_in("10.0.0.1", ["10.0.0.0/8", context.network])', { context: { network } })).toBeUndefined()
  })
})

/** Texts that are addresses, and texts that nearly are. */
const texts = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.string({ unit: fc.constantFrom(...'0123459af:.'), maxLength: 42 }),
  fc
    .tuple(fc.ipV6(), fc.constantFrom(...':.0f'), fc.nat(20))
    .map(([text, more, at]) => text.slice(0, at) + more + text.slice(at)),
)

test('the same texts are addresses as for Node', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const read = (() => {
        try {
          parseNetwork(text)
          return true
        } catch {
          return false
        }
      })()
      expect(read).toBe(isIPv4(text) || isIPv6(text))
    }),
    { numRuns: 20_000 },
  )
})

test('the same IPv4 addresses are in a network as for Node', () => {
  const bytes = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
  fc.assert(
    fc.property(bytes, fc.nat(32), fc.nat(32), fc.nat(), (network, prefix, same, other) => {
      const number = network.reduce((sum, byte) => sum * 256 + byte, 0)
      const size = 2 ** (32 - prefix)
      const base = text(Math.floor(number / size) * size)
      // The first bits as the network's, so that it is in it about as often as not.
      const address = text(Math.floor(number / 2 ** (32 - same)) * 2 ** (32 - same) + (other % 2 ** (32 - same)))
      const list = new BlockList()
      list.addSubnet(base, prefix, 'ipv4')
      const found = isInNetwork(address, [parseNetwork(`${base}/${prefix}`)], new Budget())
      expect(found).toBe(list.check(address, 'ipv4'))
    }),
    { numRuns: 5000 },
  )
})

function text(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')
}
