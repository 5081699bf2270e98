/**
 * What becomes of one value. `clear`: nothing. `email`: the first and the last letter of what stands before the @, and
 * all behind it. `credit_card`: the last four digits of 12 to 19. `ssn`: the last four digits of nine. `partial`: the last
 * quarter, four characters at most. `hash`: the same for the same value, by a key. `remove`: the member goes.
 * What is not of the shape that a kind is made for shows nothing.
 */
export const MASK_KINDS = ['clear', 'email', 'credit_card', 'ssn', 'partial', 'hash', 'null', 'remove'] as const
export type MaskKind = (typeof MASK_KINDS)[number]

/** Keyed, so that nobody can find the value by trying: HMAC-SHA-256, say. */
export type Hash = (text: string) => string

/** The member goes. */
export const REMOVED = Symbol('removed')

/** `value` is neither an object nor a list. */
export function masked(value: unknown, kind: MaskKind, hash: Hash | undefined): unknown {
  if (kind === 'clear') return value
  if (kind === 'remove') return REMOVED
  if (kind === 'null' || value === null || value === undefined) return null
  const text = String(value)
  if (kind === 'hash') return hash === undefined ? REMOVED : hash(text)
  return SHOWN[kind](text)
}

const SHOWN = { email, credit_card: creditCard, ssn, partial } satisfies Partial<
  Record<MaskKind, (text: string) => string>
>

function email(text: string): string {
  const at = text.lastIndexOf('@')
  const local = [...text.slice(0, Math.max(at, 0))]
  const [first, last] = [local[0], local.at(-1)]
  if (at === -1 || first === undefined || last === undefined) return stars(text)
  const hidden = local.length <= 2 ? '*'.repeat(local.length) : `${first}${'*'.repeat(local.length - 2)}${last}`
  return hidden + text.slice(at)
}

function creditCard(text: string): string {
  const digits = digitsOf(text)
  return digits >= 12 && digits <= 19 ? lastFourDigits(text, digits) : stars(text)
}

function ssn(text: string): string {
  const digits = digitsOf(text)
  return digits === 9 ? lastFourDigits(text, digits) : stars(text)
}

function partial(text: string): string {
  const characters = [...text]
  const shown = Math.min(4, Math.floor(characters.length / 4))
  const hidden = characters.length - shown
  return '*'.repeat(hidden) + characters.slice(hidden).join('')
}

const digitsOf = (text: string) => text.match(/[0-9]/g)?.length ?? 0

function lastFourDigits(text: string, digits: number): string {
  let seen = 0
  return text.replace(/[^ .-]/gu, (character) => {
    if (!/[0-9]/.test(character)) return '*'
    seen++
    return seen > digits - 4 ? character : '*'
  })
}

/** What separates says where the digits stood, and nothing of them. */
const stars = (text: string) => text.replace(/[^ .-]/gu, '*')
