import { expect, test } from 'vitest'
import { destinations, type Network, parseNetwork } from '../../src/outgoing/addresses.ts'

const network = (text: string): Network => parseNetwork(text) ?? { address: '', prefix: -1 }
const everywhere = destinations([])
const inside = destinations([network('10.1.0.0/16'), network('fd12::/16'), network('::1/128')])
const wide = destinations([network('0.0.0.0/0'), network('::/0')])

test.each([
  ['loopback', ['127.0.0.1', '127.255.0.9', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '0:0:0:0:0:ffff:7f00:0001']],
  ['private', ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '::ffff:10.0.0.1', 'fc00::1', 'fd00::1']],
  ['link-local', ['169.254.0.1', 'fe80::1', 'fe80::1%eth0', 'febf::1']],
  ['metadata of clouds', ['169.254.169.254', '::ffff:a9fe:a9fe', '168.63.129.16', '100.100.100.200', 'fd00:ec2::254']],
  ['shared by carriers', ['100.64.0.1', '100.127.255.255']],
  ['groups', ['224.0.0.1', '239.1.2.3', 'ff02::1']],
  ['unspecified', ['0.0.0.0', '0.1.2.3', '::', '::ffff:0.0.0.0']],
  ['reserved', ['240.0.0.1', '255.255.255.255', '192.0.0.8', '198.18.0.1', '192.0.2.1', '203.0.113.9', '2001:db8::1']],
  ['carriers of IPv4 in IPv6', ['64:ff9b::a00:1', '64:ff9b:1::1', '2002:a00:1::', '2001:0:1::1', '::10.0.0.1']],
  ['no addresses', ['', 'localhost', '0x7f.1', '2130706433', '127.1', '[::1]', '1.2.3.4 ', '1.2.3.4\n']],
])('%s is not a public destination', (_what, addresses) => {
  expect(addresses.filter((address) => everywhere.allows(address))).toEqual([])
})

test('public addresses are', () => {
  const addresses = ['1.1.1.1', '93.184.216.34', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:1.1.1.1']
  expect(addresses.filter((address) => !everywhere.allows(address))).toEqual([])
})

test('private networks are where the deployment names them, and no others', () => {
  const allowed = ['10.1.0.1', '10.1.255.255', '::ffff:10.1.0.1', 'fd12::1', '::1']
  expect(allowed.filter((address) => !inside.allows(address))).toEqual([])
  const refused = ['10.2.0.1', '127.0.0.1', '192.168.0.1', 'fd13::1']
  expect(refused.filter((address) => inside.allows(address))).toEqual([])
})

test('links, groups and metadata of clouds never are, whatever is named', () => {
  const never = ['169.254.169.254', '::ffff:169.254.169.254', 'fe80::1', 'ff02::1', '0.0.0.0', '::', '255.255.255.255']
  expect([...never, '168.63.129.16', '100.100.100.200', 'fd00:ec2::254'].filter((a) => wide.allows(a))).toEqual([])
  expect(wide.allows('10.0.0.1')).toBe(true)
})

test.each(['10.0.0.0', '10.0.0.0/33', '10.0.0/8', '::1/129', 'fe80::1%eth0/64', 'any', '/8', '10.0.0.0/-1'])(
  '%j is no network',
  (text) => expect(parseNetwork(text)).toBeUndefined(),
)
