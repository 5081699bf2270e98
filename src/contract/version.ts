import { readFileSync } from 'node:fs'

const manifest: { version: string } = JSON.parse(
  // The same distance from here in src/ and in dist/.
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
)

/** The version of this build, as the package has it. */
export const VERSION = manifest.version
