import type { Kysely } from 'kysely'
import type { Problem } from '../failure.ts'
import { isBuiltIn } from '../policy/built-in.ts'
import { roles } from '../store/roles.ts'
import type { Database } from '../store/schema.ts'
import { neverStored } from '../store/types.ts'

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

/** The types named that are declared never to be stored. */
export async function typesNeverStored(
  db: Kysely<Database>,
  tenant: string,
  namings: readonly Naming[],
): Promise<Problem[]> {
  if (namings.length === 0) return []
  const never = await neverStored(db, tenant, [...new Set(namings.map(({ name }) => name))])
  return namings
    .filter(({ name }) => never.has(name))
    .map(({ pointer, name }) => ({ pointer, detail: `the type ${name} is declared never to be stored` }))
}
