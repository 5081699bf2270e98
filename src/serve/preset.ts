import { readFile } from 'node:fs/promises'
import { type ReadBundle, readBundle } from '../administration/bundle.ts'
import { NO_ORIGIN, type Write } from '../administration/write.ts'
import type { Administration } from '../administration.ts'
import { presetFile } from '../config/presets.ts'
import { Failure } from '../failure.ts'
import { parseYaml } from '../http/yaml.ts'
import { BOOTSTRAP, DEFAULT } from '../store/bootstrap.ts'
import type { Logger } from '../telemetry/logger.ts'

// A new tenant has no revision, or the one that gave it its admin key.
const UNTOUCHED = 1

/** Puts a preset into the tenant `default`, as long as nobody has written anything there. */
export async function fillWithPreset(administration: Administration, name: string, logger: Logger): Promise<void> {
  const bundle = await readPreset(name)
  const { revision } = (await administration.tenants.get(DEFAULT)).body
  if (revision > UNTOUCHED) {
    logger.info({ preset: name }, 'the tenant default has a policy already: it stays, and the preset is not loaded')
    return
  }
  await administration.bundle.apply(byBootstrap(`the preset ${name}`), bundle)
}

async function readPreset(name: string): Promise<ReadBundle> {
  const bundle = readBundle(parseYaml(await readFile(presetFile(name), 'utf8')))
  if (bundle.problems.length === 0) return bundle
  throw new Failure('unsafe_configuration', `the preset ${name} is no bundle`, { problems: bundle.problems })
}

function byBootstrap(reason: string): Write {
  return {
    caller: { tenant: DEFAULT, subject: BOOTSTRAP, key_id: null, roles: ['pdp:admin'] },
    tenant: DEFAULT,
    permission: { type: 'pdp:bundle', action: 'pdp:write' },
    origin: NO_ORIGIN,
    reason,
    idempotency: null,
    if_match: null,
  }
}
