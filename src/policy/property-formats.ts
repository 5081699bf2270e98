import type { FormatDefinition } from 'ajv'
import formats from 'ajv-formats'

type Known = Parameters<typeof formats.default.get>[0]

/** Formats that a schema may ask for, with how long a text of each can be: no expression sees more than that. */
const LONGEST: readonly [Known, number][] = [
  ['date-time', 40],
  ['date', 10],
  ['time', 30],
  ['duration', 60],
  ['email', 254],
  ['hostname', 253],
  ['ipv4', 15],
  ['ipv6', 45],
  ['uri', 2048],
  ['uuid', 45],
]

export const FORMATS: ReadonlyMap<string, FormatDefinition<string>> = new Map(
  LONGEST.map(([name, longest]) => {
    const test = testOf(name)
    return [name, { validate: (text: string) => text.length <= longest && test(text) }]
  }),
)

function testOf(name: Known): (text: string) => boolean {
  // The "fast" expression for URIs is linear; the full one is not worth what it costs.
  const format = formats.default.get(name, name === 'uri' ? 'fast' : 'full')
  if (format instanceof RegExp) return (text) => format.test(text)
  if (typeof format === 'object' && 'validate' in format) {
    const { validate } = format
    if (validate instanceof RegExp) return (text) => validate.test(text)
    if (typeof validate === 'function') return (text) => (validate as (text: string) => unknown)(text) === true
  }
  if (typeof format === 'function') return (text) => format(text) === true
  throw new Error(`there is no format ${name}`)
}
