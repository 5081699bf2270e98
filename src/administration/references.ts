import type { Kysely } from 'kysely'
import type { Problem } from '../failure.ts'
import { isBuiltIn } from '../policy/built-in.ts'
import type { EntityType } from '../policy/model.ts'
import { roles } from '../store/roles.ts'
import type { Database } from '../store/schema.ts'

/** A name in a document, and where it stands. */
export interface Naming {
  readonly pointer: string
  readonly name: string
}

/** The roles named that the tenant does not have. `pdp:` names are another check's business. */
export async function unknownRoles(
  db: Kysely<Database>,
  tenant: string,
  namings: readonly Naming[],
): Promise<Problem[]> {
  const own = namings.filter(({ name }) => !isBuiltIn(name))
  if (own.length === 0) return []
  const known = await roles.known(db, tenant, [...new Set(own.map(({ name }) => name))])
  return own
    .filter(({ name }) => !known.has(name))
    .map(({ pointer, name }) => ({ pointer, detail: `there is no role ${name}` }))
}

/** What is wrong with keeping something of a type: that it is declared never to be stored. */
export function neverStored(declared: ReadonlyMap<string, EntityType>, pointer: string, type: string): Problem[] {
  if (declared.get(type)?.stored !== 'never') return []
  return [{ pointer, detail: `the type ${type} is declared never to be stored` }]
}
