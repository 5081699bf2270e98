import { IDENTIFIER_PATTERN } from './model.ts'

/**
 * The one form that a target is asked about in, however it was written: the same function says which patterns can match
 * one, so that a rule and what it is about are never written differently.
 */
export type Normalization = 'none' | 'path' | 'address'

/** What a target comes to, or what is wrong with it. */
export type Normal = { readonly text: string; readonly fault?: undefined } | { readonly fault: string }

/** In characters: as long as an id may be. */
const MAX_LENGTH = 512

const IDENTIFIER = new RegExp(IDENTIFIER_PATTERN, 'u')

export function normalTarget(form: Normalization, target: string): Normal {
  if (!IDENTIFIER.test(target)) return { fault: 'is empty, or holds control characters' }
  const normal = FORMS[form](target)
  if (normal.fault !== undefined || normal.text.length <= MAX_LENGTH) return normal
  return { fault: `is longer than ${MAX_LENGTH} characters in its normal form` }
}

/** Why a pattern of ids matches no target in this form as it is written; undefined: it may. */
export function patternFault(form: Normalization, pattern: string): string | undefined {
  if (form === 'none') return undefined
  // Something stands for what a wildcard matches, and nothing composes with it, nor means anything in a path.
  const sample = pattern.replace(/\\(.)|\*\*|[*?]/gsu, (_, escaped: string | undefined) => escaped ?? '_')
  return form === 'path' ? pathFault(pattern.startsWith('**') ? `/${sample}` : sample) : addressFault(pattern, sample)
}

const FORMS = {
  none: (text: string): Normal => ({ text }),
  path: normalPath,
  address: normalAddress,
} satisfies Record<Normalization, (text: string) => Normal>

/** `.`, `..`, repeated slashes and one at the end are resolved; the Unicode form is NFC. Links are nothing that a text shows. */
function normalPath(text: string): Normal {
  const path = text.normalize('NFC')
  if (!path.startsWith('/')) return { fault: 'is no absolute path' }
  const names: string[] = []
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue
    if (name !== '..') names.push(name)
    else if (names.pop() === undefined) return { fault: 'leads above the root' }
  }
  return { text: `/${names.join('/')}` }
}

const ADDRESS = /^(?<host>\[[0-9A-Fa-f:.]+\]|[^\s/?#@\\%:[\]]+):(?<port>[0-9]{1,5})$/u
/** How a URL writes an IPv4 address within IPv6. */
const MAPPED = /^\[::ffff:(?<high>[0-9a-f]{1,4}):(?<low>[0-9a-f]{1,4})\]$/

/** `host:port`. Names in lower case, without the dot at the end, and as they are looked up; addresses in their shortest form. */
function normalAddress(text: string): Normal {
  const { host = '', port = '' } = ADDRESS.exec(text)?.groups ?? {}
  if (host === '') return { fault: 'is no address: it has the form host:port' }
  if (Number(port) > 65_535) return { fault: 'has a port beyond 65535' }
  const normal = normalHost(host)
  if (normal === undefined) return { fault: 'has no host that can be looked up' }
  return { text: `${normal}:${Number(port)}` }
}

/** As URLs have them: that is how what opens connections reads names and addresses, the odd forms (`0x7f.1`) too. */
function normalHost(host: string): string | undefined {
  const url = `http://${host}/`
  if (!URL.canParse(url)) return undefined
  const { hostname } = new URL(url)
  const { high, low } = MAPPED.exec(hostname)?.groups ?? {}
  if (high !== undefined && low !== undefined) return dotted(Number.parseInt(high, 16), Number.parseInt(low, 16))
  const name = hostname.endsWith('.') ? hostname.slice(0, -1) : hostname
  return name === '' || name.endsWith('.') ? undefined : name
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
}

function pathFault(sample: string): string | undefined {
  const normal = normalPath(sample)
  if (normal.fault !== undefined) return normal.fault
  return normal.text === sample ? undefined : 'has a ".", "..", "//", "/" at its end, or text that is not in NFC'
}

/** In what a wildcard leaves of an address there is less to be told. */
function addressFault(pattern: string, sample: string): string | undefined {
  if (!/[\\*?]/.test(pattern)) {
    const normal = normalAddress(pattern)
    if (normal.fault !== undefined) return normal.fault
    return normal.text === pattern ? undefined : `is written ${normal.text}`
  }
  return /[^!-~]|[A-Z]|\.:|[:[]0[0-9a-f]/.test(sample)
    ? 'has capitals, letters beyond ASCII, leading zeros, or a dot at the end of the host'
    : undefined
}
