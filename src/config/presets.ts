import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Failure } from '../failure.ts'

// The same distance from here in src/ and in dist/.
const PRESETS = new URL('../../presets/', import.meta.url)

/** The bundle of a preset that comes with Verdict. Failure `invalid_request`: there is none of this name; it says which there are. */
export function presetFile(name: string): string {
  // A name out of the list, so that none can lead out of the folder.
  const names = presetNames()
  if (names.includes(name)) return fileURLToPath(new URL(`${name}.yaml`, PRESETS))
  throw new Failure('invalid_request', `there is no preset ${JSON.stringify(name)}: there are ${names.join(', ')}`)
}

export function presetNames(): string[] {
  return readdirSync(PRESETS)
    .flatMap((file) => /^([a-z0-9-]+)\.yaml$/.exec(file)?.[1] ?? [])
    .sort()
}
