import { DEFAULT_SETTINGS, type Settings } from '../policy/model.ts'
import { checkSettings } from '../policy/parse.ts'
import { isReadable } from '../policy/soundness.ts'
import { getSettings, putSettings, type StoredSettings } from '../store/settings.ts'
import { getTenant } from '../store/tenants.ts'
import type { Change, Changer, Outcome } from './change.ts'
import { normalSettings, same } from './normal.ts'
import { operationsInSettings } from './operations.ts'
import { checkPrecondition } from './precondition.ts'
import { notFound, refuse } from './refusal.ts'
import type { Answer, Found, Parts, Read, Write } from './write.ts'

export type ShownSettings = Required<Settings> & {
  readonly version: number
  readonly updated_at: string
  /** Why they cannot be read; what stands in them is then the strictest there is. */
  readonly quarantined?: string
}

export interface SettingsAdministration {
  /** Settings that were never put are there with their defaults, in version 0. */
  get(read: Read): Promise<Found<ShownSettings>>
  /** Replaces them whole: what is left out returns to its default. */
  put(write: Write, settings: Settings): Promise<Answer<ShownSettings>>
}

export function settingsAdministration({ db, faultOf }: Parts, change: Changer): SettingsAdministration {
  return {
    async get({ tenant }) {
      const found = (await getSettings(db.of(tenant), tenant)) ?? unset((await getTenant(db, tenant))?.created_at)
      if (found === undefined) throw notFound('such tenant')
      const fault = faultOf(tenant, 'settings', '')
      const body = { ...shownSettings(found), ...(fault !== undefined && { quarantined: fault }) }
      return { body, version: found.version }
    },
    async put(write, settings) {
      refuse(checkSettings(settings))
      return change(write, (at) => put(at, normalSettings(settings)))
    },
  }
}

async function put(change: Change, after: Required<Settings>): Promise<Outcome<ShownSettings>> {
  const { trx, tenant, found, revision, at } = change
  const stored = await getSettings(trx, tenant)
  const present = stored ?? { document: DEFAULT_SETTINGS, version: 0, updated_at: found.created_at }
  checkPrecondition(change.write.if_match, present.version)
  const before = normalSettings(present.document)
  if (isReadable('settings', present.document) && same(before, after)) return outcome(present, tenant)
  refuse(await operationsInSettings(change, before, after))
  await putSettings(trx, change, after)
  change.log(
    stored === undefined
      ? { kind: 'settings', key: null, operation: 'create', before: null, after }
      : { kind: 'settings', key: null, operation: 'update', before, after },
  )
  return outcome({ document: after, version: revision, updated_at: at }, tenant)
}

function outcome(settings: StoredSettings, id: string): Outcome<ShownSettings> {
  return { status: 200, body: shownSettings(settings), version: settings.version, id }
}

function shownSettings({ document, version, updated_at }: StoredSettings): ShownSettings {
  return { ...normalSettings(document), version, updated_at: updated_at.toISOString() }
}

function unset(since: Date | undefined): StoredSettings | undefined {
  return since === undefined ? undefined : { document: DEFAULT_SETTINGS, version: 0, updated_at: since }
}
