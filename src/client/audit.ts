import type * as audit from '../contract/audit.ts'
import type * as proof from '../contract/audit-proof.ts'
import type * as reading from '../contract/audit-reading.ts'
import type { Filter, Item } from './contract.ts'
import type { CallOptions } from './decisions.ts'
import { VerdictError } from './error.ts'
import { type ListOptions, queryText, type ReadOptions, type Rest, segment } from './resources.ts'
import { isObject, type Members, notAnAnswer } from './shape.ts'
import type { Transport } from './transport.ts'

type ExportFilter = Omit<Filter<typeof reading.exportAudit>, 'format'> & { readonly cursor?: string }

export interface ExportOptions extends CallOptions {
  readonly format?: 'ndjson' | 'csv'
}

/** A line of an export: a record; or where a reader may go on from, and at the end how far each log has come. */
export type ExportLine =
  | Item<typeof audit.listAudit>
  | {
      readonly cursor: string | null
      readonly complete?: readonly { readonly writer: string; readonly position: number; readonly closed: boolean }[]
    }

/** What was recorded, and the proof of it. */
export function auditReading(rest: Rest, transport: Transport, timeoutMs: number) {
  const exported = (filter: ExportFilter, { format = 'ndjson', ...options }: ExportOptions = {}) =>
    transport.bytes(
      {
        method: 'GET',
        path: `/v1/audit/export${queryText({ ...filter, format })}`,
        retry: 'repeatable',
        headers: { accept: '*/*' },
        ...options,
      },
      // While it follows, nothing may come for as long as that.
      (options.timeoutMs ?? timeoutMs) + Number(filter.follow ?? 0) * 1000,
    )
  return {
    list: (filter?: Filter<typeof audit.listAudit>, options?: ListOptions) =>
      rest.list<typeof audit.listAudit>('/v1/audit', filter, options),
    get: async (id: string, options?: ReadOptions) =>
      rest.get<typeof audit.getAudit>(`/v1/audit/${segment(id)}`, {}, options),
    proof: async (id: string, options?: ReadOptions) =>
      rest.get<typeof proof.getAuditProof>(`/v1/audit/${segment(id)}/proof`, {}, options),
    verify: (range?: Filter<typeof proof.verifyAudit>, options?: ReadOptions) =>
      rest.get<typeof proof.verifyAudit>('/v1/audit/verify', range, options),
    checkpoints: (filter?: Filter<typeof proof.listCheckpoints>, options?: ListOptions) =>
      rest.list<typeof proof.listCheckpoints>('/v1/audit/checkpoints', filter, options),
    consistency: (between: Filter<typeof proof.getConsistency>, options?: ReadOptions) =>
      rest.get<typeof proof.getConsistency>('/v1/audit/checkpoints/consistency', between, options),
    stats: (query?: Filter<typeof reading.auditStats>, options?: ReadOptions) =>
      rest.get<typeof reading.auditStats>('/v1/audit/stats', query, options),
    /** Line by line as it comes. Throws where it breaks off before its end: go on from the last `cursor`. */
    export: (filter: ExportFilter = {}, options?: CallOptions): AsyncGenerator<ExportLine> =>
      linesOf(exported(filter, { ...options, format: 'ndjson' })),
    /** The bytes as they come. In CSV nothing says that the end was reached. */
    exportBytes: (filter: ExportFilter = {}, options?: ExportOptions): AsyncGenerator<Uint8Array> =>
      exported(filter, options),
  }
}

export type AuditReading = ReturnType<typeof auditReading>

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ExportLine> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  let isComplete = false
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const text of lines) {
      const line = lineIn(text)
      isComplete = !('id' in line) && 'complete' in line
      yield line
    }
  }
  if (!isComplete || rest !== '') throw new VerdictError('disconnected', 'the export broke off before its end')
}

function lineIn(text: string): ExportLine {
  const line = objectIn(text)
  if (!isLine(line)) throw notAnAnswer('export')
  return line
}

function objectIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isLine = (given: unknown): given is Members & ExportLine =>
  isObject(given) && (typeof given['id'] === 'string' || 'cursor' in given)
