import type { Problem } from '../../failure.ts'

/** Characters (code points), after normalisation. */
const SHORTEST = 12
const LONGEST = 1_000

/**
 * A password as it is hashed and compared: NFKC (NIST SP 800-63B, 3.1.1.2), so that two keyboards that write the same
 * text in two ways have the same password. Nothing is cut off, and spaces count.
 */
export function normalPassword(password: string): string {
  return password.normalize('NFKC')
}

/** A username as it is compared: as a reader would take two for one. */
export function usernameKey(username: string): string {
  return username.normalize('NFKC').toLowerCase()
}

/** Why a password is refused; none that says more of it than the rule that it breaks. `names` are its owner's. */
export async function passwordProblems(password: string, names: readonly string[]): Promise<Problem[]> {
  const detail = await faultOf(normalPassword(password), names.map(folded))
  return detail === undefined ? [] : [{ pointer: '/password', detail }]
}

async function faultOf(password: string, names: readonly string[]): Promise<string | undefined> {
  const length = [...password].length
  if (length < SHORTEST) return `is shorter than ${SHORTEST} characters`
  if (length > LONGEST) return `is longer than ${LONGEST} characters`
  if (CONTROL.test(password)) return 'holds a control character'
  const text = folded(password)
  if (names.some((name) => isMadeOf(text, name))) return 'is the name of its owner or of the tenant'
  if (isRun(text)) return 'is a run of characters that repeat or follow each other'
  return (await isCommon(text)) ? 'is one of the passwords that everybody tries' : undefined
}

// What no keyboard types into a password field, and some of them cannot carry.
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what this looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/

function folded(text: string): string {
  return text.normalize('NFKC').toLowerCase()
}

/** The name itself, repeated, or with digits and signs around it. */
function isMadeOf(text: string, name: string): boolean {
  return name.length > 1 && (stripped(text) === stripped(name) || unitOf(text) === name)
}

/** One character or a short group again and again, or characters that follow each other (9 is followed by 0). */
function isRun(text: string): boolean {
  if (unitOf(text).length <= 4) return true
  const steps = new Set<number>()
  for (let at = 1; at < text.length; at++) {
    const step = text.charCodeAt(at) - text.charCodeAt(at - 1)
    steps.add(Math.abs(step) === 9 ? -step / 9 : step)
  }
  return steps.size === 1 && (steps.has(1) || steps.has(-1))
}

/** A list of common passwords is one of short ones: what is made of one by repeating it, or by a number after it, is common too. */
async function isCommon(text: string): Promise<boolean> {
  const list = await commonPasswords()
  return [text, unitOf(text), stripped(text)].some((candidate) => list.has(candidate))
}

/** The shortest text of which this one is made by repeating it. */
function unitOf(text: string): string {
  const length = `${text}${text}`.indexOf(text, 1)
  return text.slice(0, length)
}

/** Without the digits and signs at its ends. Nothing is left of a number. */
function stripped(text: string): string {
  return text.replace(/^[^\p{L}]+/u, '').replace(/[^\p{L}]+$/u, '')
}

let common: Promise<ReadonlySet<string>> | undefined

// Read when a password is first set: 49,000 entries take some 40 ms and 5 MB, which a service without people never needs.
function commonPasswords(): Promise<ReadonlySet<string>> {
  common ??= import('@zxcvbn-ts/language-common').then(({ dictionary }) => new Set(dictionary['passwords-common']))
  return common
}
