import { Failure, type Problem } from '../failure.ts'
import { type Judgement, judgeStored } from '../policy/judgement.ts'
import type { Entity, EntityType } from '../policy/model.ts'
import { checkEntity } from '../policy/parse.ts'
import { edgesToAncestors, getEntities, type ParentEdge, putEntities } from '../store/entities.ts'
import { declaredTypes } from '../store/types.ts'
import type { Change, Outcome } from './change.ts'
import { normalEntity, same } from './normal.ts'
import { type Placed, parentCycles, repeatedParents } from './parents.ts'
import { checkPrecondition } from './precondition.ts'
import { neverStored } from './references.ts'
import { refuse } from './refusal.ts'
import { warned } from './representation.ts'

/** One entity of a bulk, well-formed, with its line (from 1). */
export interface BulkLine {
  readonly line: number
  readonly entity: Entity
}

export interface Bulk {
  readonly created: number
  readonly updated: number
  readonly unchanged: number
  readonly warnings?: readonly Problem[]
}

/** What one bulk may hold: it is kept in memory until its one transaction has it. */
export const BULK_LIMIT = { entities: 100_000, bytes: 128 * 1024 * 1024 } as const

// Each part's statements stay well within the time that one statement may take.
const PART = 1_000
const SHOWN_PROBLEMS = 100

type Line = Placed & BulkLine & { readonly entity: Required<Entity> }

/** Reads all lines, so that a slow sender holds no lock, and refuses what is wrong with them by themselves. */
export async function readLines(lines: AsyncIterable<BulkLine>): Promise<readonly Line[]> {
  const read: Line[] = []
  const problems: Problem[] = []
  const seen = new Map<string, Map<string, number>>()
  let bytes = 0
  for await (const { line, entity: sent } of lines) {
    const entity = normalEntity(sent)
    bytes += JSON.stringify(entity).length
    if (read.length === BULK_LIMIT.entities || bytes > BULK_LIMIT.bytes) throw tooLarge()
    const pointer = `/${line - 1}`
    const first = firstLine(seen, entity, line)
    if (first !== line) problems.push({ pointer, detail: `line ${line}: the entity stands in line ${first} already` })
    for (const problem of [...checkEntity(entity), ...repeatedParents(entity)]) problems.push(inLine(line, problem))
    if (problems.length >= SHOWN_PROBLEMS) break
    read.push({ line, pointer, entity })
  }
  refuse(problems)
  return read
}

export async function bulk(change: Change, lines: readonly Line[]): Promise<Outcome<Bulk>> {
  checkPrecondition(change.write.if_match, undefined)
  const names = lines.map(({ entity }) => entity.type)
  const declared = await declaredTypes(change.trx, change.tenant, names)
  refuseNeverStored(declared, lines)
  const judge = judgeStored(declared)
  const counts = { created: 0, updated: 0, unchanged: 0 }
  const warnings: Problem[] = []
  const changed: Line[] = []
  for (let from = 0; from < lines.length; from += PART) {
    const part = await changedLines(change, lines.slice(from, from + PART), counts)
    warnings.push(...judgeLines(judge, part))
    await putLines(change, part)
    changed.push(...part)
  }
  await refuseCycles(change, changed)
  const body = warned(counts, warnings.slice(0, SHOWN_PROBLEMS))
  return { status: 200, body, version: null, id: 'bulk' }
}

/** Refuses what does not fit its type; what is only worth telling is returned. */
function judgeLines(judge: (entity: Entity) => Judgement, lines: readonly Line[]): Problem[] {
  const found = lines.map(({ line, entity }) => ({ line, ...judge(entity) }))
  refuse(found.flatMap(({ line, problems }) => problems.map((one) => inLine(line, one))).slice(0, SHOWN_PROBLEMS))
  return found.flatMap(({ line, warnings }) => warnings.map((one) => inLine(line, one)))
}

/** Those of the lines that change anything, counted and logged. */
async function changedLines(
  change: Change,
  lines: readonly Line[],
  counts: { created: number; updated: number; unchanged: number },
): Promise<Line[]> {
  const { trx, tenant } = change
  const refs = lines.map(({ entity: { type, id } }) => ({ type, id }))
  const present = byRef(await getEntities(trx, tenant, refs))
  const changed: Line[] = []
  for (const line of lines) {
    const { type, id } = line.entity
    const before = present.get(type)?.get(id)?.document ?? null
    if (before !== null && same(before, line.entity)) {
      counts.unchanged++
      continue
    }
    counts[before === null ? 'created' : 'updated']++
    const operation = before === null ? 'create' : 'update'
    change.log({ kind: 'entity', key: { type, id }, operation, before, after: line.entity })
    changed.push(line)
  }
  return changed
}

async function putLines(change: Change, lines: readonly Line[]): Promise<void> {
  const entities = lines.map(({ entity }) => entity)
  if (entities.length > 0) await putEntities(change.trx, change, entities)
}

function refuseNeverStored(declared: ReadonlyMap<string, EntityType>, lines: readonly Line[]): void {
  const first = new Map<string, Line>()
  for (const line of lines) if (!first.has(line.entity.type)) first.set(line.entity.type, line)
  refuse([...first.values()].flatMap(({ pointer, entity }) => neverStored(declared, `${pointer}/type`, entity.type)))
}

// The lines' own edges are at hand; the store is asked what stands above the parents that are not among the lines.
async function refuseCycles({ trx, tenant }: Change, changed: readonly Line[]): Promise<void> {
  const lines = byRef(changed.map(({ entity }) => ({ document: entity })))
  const parents = byRef(changed.flatMap(({ entity }) => entity.parents.map((document) => ({ document }))))
  const outside = [...parents.values()]
    .flatMap((ids) => [...ids.values()].map(({ document }) => document))
    .filter(({ type, id }) => lines.get(type)?.has(id) !== true)
  const above: ParentEdge[] = []
  for (let from = 0; from < outside.length; from += PART) {
    above.push(...(await edgesToAncestors(trx, tenant, outside.slice(from, from + PART))))
  }
  refuse(parentCycles(changed, above).slice(0, SHOWN_PROBLEMS))
}

function byRef<T extends { readonly document: { readonly type: string; readonly id: string } }>(
  rows: readonly T[],
): Map<string, Map<string, T>> {
  const types = new Map<string, Map<string, T>>()
  for (const row of rows) {
    const { type, id } = row.document
    const ids = types.get(type) ?? new Map<string, T>()
    types.set(type, ids.set(id, row))
  }
  return types
}

function firstLine(seen: Map<string, Map<string, number>>, { type, id }: Entity, line: number): number {
  const ids = seen.get(type) ?? new Map<string, number>()
  seen.set(type, ids)
  const first = ids.get(id) ?? line
  ids.set(id, first)
  return first
}

function inLine(line: number, { pointer, detail }: Problem): Problem {
  return { pointer: `/${line - 1}${pointer}`, detail: `line ${line}: ${detail}` }
}

function tooLarge(): Failure {
  return new Failure(
    'payload_too_large',
    `a bulk holds at most ${BULK_LIMIT.entities} entities and ${BULK_LIMIT.bytes} bytes: send it in parts`,
  )
}
