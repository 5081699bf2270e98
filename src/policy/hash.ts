// Drawn when the process begins, so that nobody can write texts of which many share one hash.
const MULTIPLIER = 2 ** 30 + Math.floor(Math.random() * 2 ** 29) * 2 + 1
export const SEED = Math.floor(Math.random() * 2 ** 31)

/** A hash with one more character mixed into it: 32 bits, signed. */
export function mixed(hash: number, code: number): number {
  const product = Math.imul(hash ^ code, MULTIPLIER)
  return product ^ (product >>> 15)
}

export function hashOf(text: string): number {
  let hash = SEED
  for (let at = 0; at < text.length; at++) hash = mixed(hash, text.charCodeAt(at))
  return hash
}

/** The same from the last character to the first. */
export function hashFromEnd(text: string): number {
  let hash = SEED
  for (let at = text.length - 1; at >= 0; at--) hash = mixed(hash, text.charCodeAt(at))
  return hash
}
