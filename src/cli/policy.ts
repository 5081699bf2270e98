import { problemsAlone, readBundle } from '../administration/bundle.ts'
import { Failure, type Problem } from '../failure.ts'
import { parseBundleText } from '../http/bundle-reader.ts'
import type { Bundle } from '../policy/model.ts'
import { parseBundle } from '../policy/parse.ts'

/** A bundle to decide by; what a service would refuse to apply to an empty tenant is refused here too, all at once. */
export async function readPolicy(document: unknown): Promise<{ bundle: Bundle } | { problems: readonly Problem[] }> {
  const problems = await problemsAlone(readBundle(document))
  return problems.length > 0 ? { problems } : parseBundle(document)
}

/** What keeps a service from reading the text: beyond what YAML forbids, all that JSON can't say. */
export function problemsOfText(file: string, text: string): readonly Problem[] {
  try {
    parseBundleText(Buffer.from(text), file.endsWith('.json') ? 'json' : 'yaml')
    return []
  } catch (error) {
    if (error instanceof Failure) return error.problems
    throw error
  }
}
