import { EventEmitter, once } from 'node:events'
import { Failure } from '../../failure.ts'
import { askServer } from '../client.ts'
import { EXIT, type Io, type Output } from '../io.ts'
import { type AuditQuestionOptions, queryOf } from './question.ts'

export interface AuditExportOptions extends AuditQuestionOptions {
  readonly format?: 'ndjson' | 'csv'
  readonly cursor?: string
}

/** Writes a running Verdict's audit to standard output. */
export async function exportAudit(options: AuditExportOptions, io: Io): Promise<number> {
  const query = queryOf(options)
  query.set('format', options.format ?? 'ndjson')
  if (options.cursor !== undefined) query.set('cursor', options.cursor)
  const { body } = await askServer({ method: 'GET', path: `/v1/audit/export?${query}` }, options, io)
  const decoder = new TextDecoder()
  try {
    for await (const chunk of body ?? []) await write(io.stdout, decoder.decode(chunk, { stream: true }))
  } catch (cause) {
    throw new Failure('store_unavailable', 'the export broke off; its last cursor says where to go on', { cause })
  }
  await write(io.stdout, decoder.decode())
  return EXIT.ok
}

/** Waits for a reader who is slower than the service. */
async function write(output: Output, text: string): Promise<void> {
  if (text !== '' && output.write(text) === false && output instanceof EventEmitter) await once(output, 'drain')
}
