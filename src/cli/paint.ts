import { styleText } from 'node:util'
import type { Io, Output } from './io.ts'

export type Tone = 'red' | 'green' | 'yellow' | 'bold' | 'dim'

export type Paint = (tone: Tone, text: string) => string

const plain: Paint = (_tone, text) => text
// That somebody looks is known here better than by `styleText`, which would ask the process.
const coloured: Paint = (tone, text) => styleText(tone, text, { validateStream: false })

/** Colours on a terminal only, and not where NO_COLOR (no-color.org) or a dumb terminal speaks against them. */
export function paintFor({ env }: Io, output: Output): Paint {
  const isWanted = output.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
  return isWanted ? coloured : plain
}

// Control characters, and those that change the direction of what follows.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g

/** Text of somebody else's as one line that a terminal shows and does not obey. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
