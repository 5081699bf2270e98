import type { CompiledRule, Place } from './compiled-rule.ts'
import type { Key } from './keys.ts'
import { actionPattern, matches, type Pattern } from './pattern.ts'
import { PatternTable } from './pattern-table.ts'

/** What a request looks like to the index. The keys are marked with `at`, the number of the decision. */
export interface Wanted {
  readonly type: string
  readonly id: string
  readonly action: string
  readonly at: number
  /** Keys that rules name among the subject, its ancestors, its roles and "any"; those in error too. */
  readonly subjectKeys: readonly Key[]
  /** Keys that rules name among the resource and its ancestors. */
  readonly resourceKeys: readonly Key[]
}

/** Where the index changes its ways. Tests make them small, so that small policies see all of them. */
export interface IndexLimits {
  /**
   * A rule is filed once for each of its subjects, actions and resources together. One with more combinations than this
   * is filed under "anything" for its longest lists, and compared in whole when it is found.
   */
  readonly filings: number
  /** As many rules of one place are looked through; more are found by their subject. */
  readonly list: number
}

const LIMITS: IndexLimits = { filings: 2000, list: 8 }

const ANY_ACTION = actionPattern('*')
const ANY_PLACE: Place = { type: '*', id: undefined, within: undefined, withinRef: undefined }

interface Filing {
  readonly subjects: readonly Key[]
  readonly actions: readonly Pattern[]
  readonly resources: readonly Place[]
}

/**
 * From a request straight to the rules whose subject, action and resource match: type of resource, then action, then id
 * or ancestor of the resource, then subject. The cost follows the number of rules that match, not of all.
 */
export class RuleIndex {
  readonly #types = new Map<string, PatternTable<Site>>()
  readonly #any: Key
  readonly #limits: IndexLimits

  /** `any` is the key of "any subject". */
  constructor(any: Key, limits = LIMITS) {
    this.#any = any
    this.#limits = limits
  }

  get isEmpty(): boolean {
    return this.#types.size === 0
  }

  add(rule: CompiledRule): void {
    const filing = this.filing(rule)
    const { subjects, actions, resources } = filing
    rule.coarse = isCoarse(rule, filing)
    for (const place of resources) {
      for (const action of actions) {
        const bucket = this.#site(place.type, action).bucket(place)
        for (const subject of subjects) bucket.add(subject, rule, this.#limits.list)
      }
    }
  }

  remove(rule: CompiledRule): void {
    const { subjects, actions, resources } = this.filing(rule)
    for (const place of resources) {
      for (const action of actions) this.#removeFrom(place, action, subjects, rule)
    }
  }

  /** Where a rule is filed: the same each time that it is asked for the same rule. */
  protected filing(rule: CompiledRule): Filing {
    let { subjects, actions, resources } = rule
    while (subjects.length * actions.length * resources.length > this.#limits.filings) {
      const longest = Math.max(subjects.length, actions.length, resources.length)
      if (subjects.length === longest) subjects = [this.#any]
      else if (actions.length === longest) actions = [ANY_ACTION]
      else resources = [ANY_PLACE]
    }
    return { subjects, actions, resources }
  }

  /** Pushes each rule whose subject, action and resource match, once, with `seenAt` and `subjectErred` set. */
  collect(wanted: Wanted, into: CompiledRule[]): void {
    this.#collectType(wanted.type, wanted, into)
    if (wanted.type !== '*') this.#collectType('*', wanted, into)
  }

  /**
   * The rules around a request, nearest first: those about its resource and action, whomever they are for; those for
   * its subject about its action, in other places of its type; about other actions; about other types. Each step of the
   * walk yields, `undefined` where it came upon no rule, so that whoever walks can stop after so many steps.
   */
  around(wanted: Wanted): Iterable<CompiledRule | undefined>[] {
    return [
      this.#otherSubjects(wanted),
      this.#otherPlaces(wanted),
      this.#otherActions(wanted),
      this.#otherTypes(wanted),
    ]
  }

  *#otherSubjects(wanted: Wanted): Generator<CompiledRule | undefined> {
    for (const bucket of this.#bucketsOf(wanted)) yield* bucket.all()
  }

  *#otherPlaces(wanted: Wanted): Generator<CompiledRule | undefined> {
    const matching = new Set(this.#bucketsOf(wanted))
    for (const site of this.#sitesOf(wanted)) {
      for (const bucket of site.buckets()) yield* matching.has(bucket) ? NOTHING : bucket.active(wanted)
    }
  }

  *#otherActions(wanted: Wanted): Generator<CompiledRule | undefined> {
    const matching = new Set(this.#sitesOf(wanted))
    for (const table of this.#tablesOf(wanted)) {
      for (const site of table.values()) {
        yield undefined
        if (!matching.has(site)) for (const bucket of site.matching(wanted)) yield* bucket.active(wanted)
      }
    }
  }

  *#otherTypes(wanted: Wanted): Generator<CompiledRule | undefined> {
    const own = this.#tablesOf(wanted)
    for (const table of this.#types.values()) {
      yield undefined
      if (own.includes(table)) continue
      const sites: Site[] = []
      table.collect(wanted.action, sites)
      for (const site of sites) for (const bucket of site.buckets()) yield* bucket.active(wanted)
    }
  }

  #tablesOf({ type }: Wanted): PatternTable<Site>[] {
    const types = type === '*' ? ['*'] : [type, '*']
    return types.map((name) => this.#types.get(name)).filter((table) => table !== undefined)
  }

  #sitesOf(wanted: Wanted): Site[] {
    const sites: Site[] = []
    for (const table of this.#tablesOf(wanted)) table.collect(wanted.action, sites)
    return sites
  }

  #bucketsOf(wanted: Wanted): Bucket[] {
    return this.#sitesOf(wanted).flatMap((site) => site.matching(wanted))
  }

  #collectType(type: string, wanted: Wanted, into: CompiledRule[]): void {
    const sites: Site[] = []
    this.#types.get(type)?.collect(wanted.action, sites)
    for (const site of sites) site.collect(wanted, into)
  }

  #site(type: string, action: Pattern): Site {
    let table = this.#types.get(type)
    if (table === undefined) {
      table = new PatternTable()
      this.#types.set(type, table)
    }
    let site = table.get(action)
    if (site === undefined) {
      site = new Site()
      table.put(action, site)
    }
    return site
  }

  #removeFrom(place: Place, action: Pattern, subjects: readonly Key[], rule: CompiledRule): void {
    const table = this.#types.get(place.type)
    const site = table?.get(action)
    if (table === undefined || site === undefined) return
    const bucket = site.bucket(place)
    for (const subject of subjects) bucket.remove(subject, rule)
    if (bucket.isEmpty) site.drop(place)
    if (site.isEmpty) table.remove(action)
    if (table.isEmpty) this.#types.delete(place.type)
  }
}

function isCoarse(rule: CompiledRule, { subjects, actions, resources }: Filing): boolean {
  if (subjects !== rule.subjects || actions !== rule.actions || resources !== rule.resources) return true
  return resources.some(({ id, within }) => id !== undefined && within !== undefined)
}

/** Rules of one type of resource and one pattern of actions. */
class Site {
  #ids: PatternTable<Bucket> | undefined
  #within: Map<Key, Bucket> | undefined
  #any: Bucket | undefined

  get isEmpty(): boolean {
    return this.#ids === undefined && this.#within === undefined && this.#any === undefined
  }

  /** The bucket of a place, made where there is none. An id with an ancestor is filed under the rarer of the two. */
  bucket({ id, within }: Place): Bucket {
    if (id !== undefined && (id.kind === 'exact' || within === undefined)) return this.#ofId(id)
    if (within !== undefined) return this.#ofAncestor(within)
    this.#any ??= new Bucket()
    return this.#any
  }

  drop({ id, within }: Place): void {
    if (id !== undefined && (id.kind === 'exact' || within === undefined)) {
      this.#ids?.remove(id)
      if (this.#ids?.isEmpty) this.#ids = undefined
    } else if (within !== undefined) {
      this.#within?.delete(within)
      if (this.#within?.size === 0) this.#within = undefined
    } else this.#any = undefined
  }

  collect(wanted: Wanted, into: CompiledRule[]): void {
    this.#any?.collect(wanted, into)
    if (this.#within !== undefined) this.#collectWithin(this.#within, wanted, into)
    if (this.#ids === undefined) return
    const buckets: Bucket[] = []
    this.#ids.collect(wanted.id, buckets)
    for (const bucket of buckets) bucket.collect(wanted, into)
  }

  /** The buckets whose place matches. */
  matching(wanted: Wanted): Bucket[] {
    const buckets: Bucket[] = this.#any === undefined ? [] : [this.#any]
    for (const key of wanted.resourceKeys) {
      const bucket = this.#within?.get(key)
      if (bucket !== undefined) buckets.push(bucket)
    }
    this.#ids?.collect(wanted.id, buckets)
    return buckets
  }

  *buckets(): Generator<Bucket> {
    if (this.#any !== undefined) yield this.#any
    if (this.#within !== undefined) yield* this.#within.values()
    if (this.#ids !== undefined) yield* this.#ids.values()
  }

  #collectWithin(within: Map<Key, Bucket>, wanted: Wanted, into: CompiledRule[]): void {
    if (within.size < wanted.resourceKeys.length) {
      for (const [key, bucket] of within) if (key.heldAt === wanted.at) bucket.collect(wanted, into)
      return
    }
    for (const key of wanted.resourceKeys) within.get(key)?.collect(wanted, into)
  }

  #ofId(id: Pattern): Bucket {
    this.#ids ??= new PatternTable()
    const known = this.#ids.get(id)
    if (known !== undefined) return known
    const made = new Bucket()
    this.#ids.put(id, made)
    return made
  }

  #ofAncestor(within: Key): Bucket {
    this.#within ??= new Map()
    const known = this.#within.get(within)
    if (known !== undefined) return known
    const made = new Bucket()
    this.#within.set(within, made)
    return made
  }
}

interface Filed {
  readonly key: Key
  readonly rule: CompiledRule
}

type ByKey = Map<Key, CompiledRule | Set<CompiledRule>>

/** Rules by subject: mostly one, held right here; then a short list; past that a map. */
class Bucket {
  #key: Key | undefined
  #rule: CompiledRule | undefined
  #more: Filed[] | ByKey | undefined

  get isEmpty(): boolean {
    return this.#rule === undefined && this.#more === undefined
  }

  /** `most`: how long the list may become. */
  add(key: Key, rule: CompiledRule, most: number): void {
    if (this.#more instanceof Map) addTo(this.#more, key, rule)
    else if (this.#rule === undefined && most > 0) {
      this.#key = key
      this.#rule = rule
    } else {
      const list = this.#more ?? []
      list.push({ key, rule })
      this.#more = list.length < most ? list : this.#spread(list)
    }
  }

  remove(key: Key, rule: CompiledRule): void {
    if (this.#rule === rule && this.#key === key) {
      this.#rule = undefined
      this.#key = undefined
    }
    if (this.#more instanceof Map) removeFrom(this.#more, key, rule)
    else if (this.#more !== undefined)
      this.#more = this.#more.filter((filed) => filed.rule !== rule || filed.key !== key)
    if (this.#more instanceof Map ? this.#more.size === 0 : this.#more?.length === 0) this.#more = undefined
  }

  collect(wanted: Wanted, into: CompiledRule[]): void {
    const { at } = wanted
    if (this.#key !== undefined && this.#rule !== undefined && isActive(this.#key, at)) {
      found(this.#rule, this.#key, wanted, into)
    }
    const more = this.#more
    if (more === undefined) return
    if (!(more instanceof Map)) {
      for (const { key, rule } of more) if (isActive(key, at)) found(rule, key, wanted, into)
    } else if (more.size < wanted.subjectKeys.length) {
      for (const [key, rules] of more) if (isActive(key, at)) foundAll(rules, key, wanted, into)
    } else {
      for (const key of wanted.subjectKeys) {
        const rules = more.get(key)
        if (rules !== undefined) foundAll(rules, key, wanted, into)
      }
    }
  }

  *all(): Generator<CompiledRule | undefined> {
    yield this.#rule
    if (this.#more instanceof Map) for (const rules of this.#more.values()) yield* each(rules)
    else if (this.#more !== undefined) for (const { rule } of this.#more) yield rule
  }

  /** The rules for the subject that is asked about. */
  *active({ at, subjectKeys }: Wanted): Generator<CompiledRule | undefined> {
    yield this.#key !== undefined && isActive(this.#key, at) ? this.#rule : undefined
    if (this.#more instanceof Map) for (const key of subjectKeys) yield* each(this.#more.get(key))
    else if (this.#more !== undefined)
      for (const { key, rule } of this.#more) yield isActive(key, at) ? rule : undefined
  }

  #spread(list: readonly Filed[]): ByKey {
    const byKey: ByKey = new Map()
    for (const { key, rule } of list) addTo(byKey, key, rule)
    if (this.#key !== undefined && this.#rule !== undefined) addTo(byKey, this.#key, this.#rule)
    this.#key = undefined
    this.#rule = undefined
    return byKey
  }
}

const NOTHING: readonly undefined[] = Object.freeze([undefined])

function each(rules: CompiledRule | Set<CompiledRule> | undefined): Iterable<CompiledRule | undefined> {
  return rules instanceof Set ? rules : [rules]
}

function addTo(byKey: ByKey, key: Key, rule: CompiledRule): void {
  const there = byKey.get(key)
  if (there === undefined) byKey.set(key, rule)
  else if (there instanceof Set) there.add(rule)
  else byKey.set(key, new Set([there, rule]))
}

function removeFrom(byKey: ByKey, key: Key, rule: CompiledRule): void {
  const there = byKey.get(key)
  if (there === rule) byKey.delete(key)
  else if (there instanceof Set && there.delete(rule) && there.size === 0) byKey.delete(key)
}

function isActive(key: Key, at: number): boolean {
  return key.heldAt === at || key.erredAt === at
}

function foundAll(rules: CompiledRule | Set<CompiledRule>, key: Key, wanted: Wanted, into: CompiledRule[]): void {
  if (rules instanceof Set) for (const rule of rules) found(rule, key, wanted, into)
  else found(rules, key, wanted, into)
}

function found(rule: CompiledRule, key: Key, wanted: Wanted, into: CompiledRule[]): void {
  const { at } = wanted
  if (rule.seenAt === at) {
    if (key.heldAt === at && !rule.coarse) rule.subjectErred = false
    return
  }
  rule.seenAt = at
  if (!rule.coarse) rule.subjectErred = key.heldAt !== at
  else if (!matchesWhole(rule, wanted)) return
  into.push(rule)
}

/** Compares a rule that is filed under more than it means. */
function matchesWhole(rule: CompiledRule, wanted: Wanted): boolean {
  const { at } = wanted
  rule.subjectErred = !rule.subjects.some((key) => key.heldAt === at)
  return (
    (!rule.subjectErred || rule.subjects.some((key) => key.erredAt === at)) &&
    rule.actions.some((pattern) => matches(pattern, wanted.action)) &&
    rule.resources.some((place) => isAt(place, wanted))
  )
}

/** Whether the resource that is asked about is in this place. */
export function isAt({ type, id, within }: Place, wanted: Wanted): boolean {
  if (type !== '*' && type !== wanted.type) return false
  if (within !== undefined && within.heldAt !== wanted.at) return false
  return id === undefined || matches(id, wanted.id)
}
