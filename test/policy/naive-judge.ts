import type { AccessRequest, Bundle } from '../../src/policy/model.ts'
import { SCHEMAS } from './random-meanings.ts'

/** The reference for the properties of a request: what the caller has to answer for, read off the types. */
export function naiveJudge(
  { types = [], entities = [], settings = {} }: Bundle,
  request: AccessRequest,
): { problems: string[]; warnings: string[] } {
  const precedence = settings.attribute_precedence ?? 'request'
  const problems: string[] = []
  const warnings: string[] = []
  for (const part of ['subject', 'resource'] as const) {
    const { type, id, properties: sent } = request[part]
    const { schema, on_invalid, protected_properties: guarded = [] } = types.find(({ name }) => name === type) ?? {}
    const meaning = SCHEMAS.find((one) => one.schema === schema)
    if (meaning === undefined || sent === undefined) continue
    const stored = entities.find((one) => one.type === type && one.id === id)?.properties ?? {}
    const usable = Object.fromEntries(Object.entries(sent).filter(([name]) => !guarded.includes(name)))
    const effective = precedence === 'request' ? { ...stored, ...usable } : { ...usable, ...stored }
    for (const name of meaning.faults(effective)) {
      const isStored = name in stored && !(precedence === 'request' && name in usable)
      if (isStored || guarded.includes(name)) continue
      ;(on_invalid === 'warn' ? warnings : problems).push(`/${part}/properties/${name}`)
    }
  }
  return { problems: problems.sort(), warnings: warnings.sort() }
}
