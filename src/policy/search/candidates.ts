import { References } from '../entity-graph.ts'
import type { EntityRef } from '../model.ts'
import { isAnyId, matches, type Pattern } from '../pattern.ts'
import { type Directory, idsFrom } from './directory.ts'
import type { Extent } from './extent.ts'
import { merged } from './merged.ts'
import { inByteOrder, SortedTexts } from './sorted-texts.ts'

/**
 * The ids of a type in these extents that stand after `after`, in byte order and each once; `undefined` for each step that
 * found none.
 */
export function* candidatesIn(
  directory: Directory,
  type: string,
  extents: readonly Extent[],
  after: string,
): Generator<string | undefined> {
  const lists = new Set<SortedTexts>()
  const single = new SortedTexts()
  const patterns: Pattern[] = []
  const roots: EntityRef[] = []
  for (const extent of extents) {
    yield undefined
    if (extent.kind === 'all') patterns.push(ANY_ID)
    else if (extent.kind === 'matching') put(extent.pattern, single, patterns)
    else if (extent.kind === 'below') roots.push(extent.ref)
    else yield* holders(directory, type, extent, lists, roots)
  }
  for (const root of roots) if (root.type === type) single.add(root.id)
  yield* descend(directory, type, roots, lists)
  const sources: Iterator<string>[] = [...lists, single].map((list) => list.from(after))
  const stored = directory.stored(type)
  if (stored !== undefined && patterns.length > 0) sources.push(...matching(stored, patterns, after))
  // `after` itself was looked at already.
  for (const id of merged(sources)) if (id !== after) yield id
}

const ANY_ID: Pattern = { text: '**', kind: 'prefix', literal: '', anchored: true, tokens: [] }

function put(pattern: Pattern, single: SortedTexts, patterns: Pattern[]): void {
  if (pattern.kind === 'exact') single.add(pattern.literal)
  else patterns.push(pattern)
}

function* holders(
  directory: Directory,
  type: string,
  { role, within }: Extent & { kind: 'holders' },
  lists: Set<SortedTexts>,
  roots: EntityRef[],
): Generator<undefined> {
  for (const holderType of directory.holderTypes) {
    const areParents = directory.areParents(holderType)
    if (holderType !== type && !areParents) continue
    for (const scope of [undefined, ...within]) {
      yield
      const list = directory.holders(holderType, role, scope)
      if (list === undefined) continue
      if (holderType === type) lists.add(list)
      if (!areParents) continue
      for (const id of idsFrom(list)) {
        yield
        roots.push({ type: holderType, id })
      }
    }
  }
}

/** Adds the lists of those of a type that are in one of the roots, at any depth. */
function* descend(
  directory: Directory,
  type: string,
  roots: readonly EntityRef[],
  lists: Set<SortedTexts>,
): Generator<undefined> {
  const seen = new References()
  const open = roots.filter((root) => seen.add(root))
  const between = [...directory.childTypes].filter((each) => directory.areParents(each))
  // Grows while it is walked.
  for (const parent of open) {
    yield
    const list = directory.children(type, parent)
    if (list !== undefined) lists.add(list)
    for (const childType of between) {
      for (const id of idsFrom(directory.children(childType, parent))) {
        yield
        const child = { type: childType, id }
        if (directory.hasChildren(child) && seen.add(child)) open.push(child)
      }
    }
  }
}

// More patterns are not looked for in every id: then each is decided.
const FEW = 32
// So many ids are passed over between two that are looked at more closely: a step never takes long.
const PASSED_OVER = 64

/** Ids that one of the patterns matches, and a few that none does. */
function matching(stored: SortedTexts, patterns: readonly Pattern[], after: string): Iterator<string>[] {
  if (patterns.some(isAnyId)) return [stored.from(after)]
  const anchored = patterns.filter((pattern) => pattern.anchored && pattern.literal !== '')
  const others = patterns.filter((pattern) => !anchored.includes(pattern))
  const ranges = anchored.map((pattern) => inRange(stored, pattern, after))
  if (others.length === 0) return ranges
  return [...ranges, others.length > FEW ? stored.from(after) : sifted(stored.from(after), others)]
}

function* inRange(stored: SortedTexts, pattern: Pattern, after: string): Generator<string> {
  const { literal } = pattern
  const range = stored.from(inByteOrder(after, literal) > 0 ? after : literal)
  yield* sifted(beginningWith(range, literal), [pattern])
}

function* beginningWith(ids: Iterable<string>, literal: string): Generator<string> {
  for (const id of ids) {
    if (!id.startsWith(literal)) return
    yield id
  }
}

function* sifted(ids: Iterable<string>, patterns: readonly Pattern[]): Generator<string> {
  let passedOver = 0
  for (const id of ids) {
    if (++passedOver < PASSED_OVER && !patterns.some((pattern) => matches(pattern, id))) continue
    passedOver = 0
    yield id
  }
}
