import { v7 } from 'uuid'
import { AuditTrail } from '../audit/trail.ts'
import type { Config } from '../config.ts'
import { presenceOf } from '../store/audit-log.ts'
import { openDatabase } from '../store/database.ts'
import { outboxStore } from '../store/outbox.ts'
import type { Opening } from './database.ts'
import { journalRoot } from './keys.ts'
import { openSealing } from './sealing.ts'

const SHIP_MS = 2_500
/** A batch takes a fraction of it; a connection that hangs is given up after it, and shipping goes on. */
const SHIPPING_QUERY_MS = 5_000

/** The audit's own connections: shipping must not wait behind decisions, and a batch takes its time. */
export async function openTrail(
  { url, logger, opened }: Opening,
  config: Config,
  dataDir: string,
  masterKey: Buffer,
): Promise<AuditTrail> {
  const writer = v7()
  const name = presenceOf(writer)
  const { db, close } = openDatabase({ url, name, size: 2, queryTimeout: SHIPPING_QUERY_MS, isPresent: true })
  opened.add('audit database', close)
  const sealing = await openSealing({ db, masterKey, dataDir, log: logger })
  opened.add('sealing', () => sealing.stop())
  const trail = await AuditTrail.open({
    root: journalRoot(dataDir),
    writer,
    fsync: config.journalFsync,
    maxBytes: config.journalMaxBytes,
    store: { ...sealing.store, ...outboxStore(db) },
    log: logger,
  })
  opened.add('audit trail', (ms) => trail.stop(Math.min(ms, SHIP_MS)))
  return trail
}
