import type { Site, Wanted } from './candidate.ts'
import type { CompiledRule, Place } from './compiled-rule.ts'
import type { Key } from './key.ts'
import { KeyNews } from './key-news.ts'
import type { KeySet } from './key-set.ts'
import { actionPattern, matches, type Pattern } from './pattern.ts'
import { PatternTable } from './pattern-table.ts'

/** Where the index changes its ways. Tests make them small, so that small policies see all of them. */
export interface IndexLimits {
  /**
   * A rule is filed once for each of its subjects, actions and resources together. One with more combinations than this
   * is filed under "anything" for its longest lists, and compared in whole when it is found.
   */
  readonly filings: number
  /** As many rules of one key are looked through; more are told apart by site, then by subject. */
  readonly list: number
  /** As many keys of an entity are marked by each decision; of more, those are looked at by which there is something. */
  readonly marked: number
}

const LIMITS: IndexLimits = { filings: 2000, list: 8, marked: 16 }

const ANY_ACTION = actionPattern('*')
const ANY_PLACE: Place = {
  type: '*',
  id: undefined,
  within: undefined,
  idKey: undefined,
  foundBy: undefined,
  isCompared: false,
}

interface Filing {
  readonly subjects: readonly Key[]
  readonly actions: readonly Pattern[]
  readonly resources: readonly Place[]
}

// Types and actions that were asked about; forgotten all at once when there are as many.
const REMEMBERED = 1000

/**
 * From a request straight to the rules whose subject, action and resource match. A rule hangs on the key of what it names
 * that is rare: the id or the ancestor of its resource, or else its subject; at a site, which is the type of its
 * resource and its pattern of actions. A decision has the keys that hold for it, and the sites that match it; what hangs
 * on the one at the other has only its own subject left to compare. So the cost follows the number of rules that match,
 * not of all; and what it costs with millions is visits to memory that no cache holds, so there are few of them.
 */
export class RuleIndex {
  readonly limits: IndexLimits
  /** Keys by which something else is found than before, or for which. */
  readonly hung: KeyNews
  readonly #any: Key
  readonly #types = new Map<string, PatternTable<CountingSite>>()
  readonly #remembered = new Map<string, Map<string, readonly Site[]>>()
  #rememberedCount = 0
  #sites = 0

  /** `any` is the key of "any subject". Indexes over the same keys share `hung`. */
  constructor(any: Key, limits = LIMITS, hung = new KeyNews()) {
    this.#any = any
    this.limits = limits
    this.hung = hung
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
        const site = this.#site(place.type, action)
        site.filings += subjects.length
        for (const subject of subjects) {
          const { foundBy = subject } = place
          foundBy.hang(site, subject, rule, this.limits.list)
          this.#tell(foundBy, subject)
        }
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
    while (subjects.length * actions.length * resources.length > this.limits.filings) {
      const longest = Math.max(subjects.length, actions.length, resources.length)
      if (subjects.length === longest) subjects = [this.#any]
      else if (actions.length === longest) actions = [ANY_ACTION]
      else resources = [ANY_PLACE]
    }
    return { subjects, actions, resources }
  }

  /** Pushes each rule whose subject, action and resource match, once, with `seenAt` and `subjectErred` set. */
  collect(wanted: Wanted, into: CompiledRule[]): void {
    const sites = this.sitesOf(wanted)
    if (sites.length === 0) return
    for (const site of sites) site.askedAt = wanted.at
    collectBy(wanted.subject, sites, wanted, into)
    for (const key of wanted.besides) key.collect(sites, wanted, into)
    collectBy(wanted.resource, sites, wanted, into)
  }

  /** Where rules about a type and an action hang. */
  sitesOf({ type, action }: Pick<Wanted, 'type' | 'action'>): readonly Site[] {
    const known = this.#remembered.get(type)?.get(action)
    if (known !== undefined) return known
    const sites: CountingSite[] = []
    this.#types.get(type)?.collect(action, sites)
    if (type !== '*') this.#types.get('*')?.collect(action, sites)
    this.#remember(type, action, sites)
    return sites
  }

  #remember(type: string, action: string, sites: readonly Site[]): void {
    if (++this.#rememberedCount > REMEMBERED) this.#forget()
    const ofType = this.#remembered.get(type)
    if (ofType === undefined) this.#remembered.set(type, new Map([[action, sites]]))
    else ofType.set(action, sites)
  }

  /**
   * A site has come. What was found elsewhere stays: entities with many keys know their way by it. At one that has gone
   * there is nothing, and it is not the one that may come after it.
   */
  #forgetAt(type: string, pattern: Pattern): void {
    for (const [asked, byAction] of this.#remembered) {
      if (type !== '*' && type !== asked) continue
      for (const action of byAction.keys()) {
        if (matches(pattern, action) && byAction.delete(action)) this.#rememberedCount--
      }
    }
  }

  #forget(): void {
    this.#remembered.clear()
    this.#rememberedCount = 0
  }

  #tell(foundBy: Key, subject: Key): void {
    this.hung.tell(foundBy)
    if (foundBy !== subject) this.hung.tell(subject)
  }

  #site(type: string, action: Pattern): CountingSite {
    let table = this.#types.get(type)
    if (table === undefined) {
      table = new PatternTable()
      this.#types.set(type, table)
    }
    let site = table.get(action)
    if (site === undefined) {
      site = { askedAt: 0, hash: ++this.#sites, filings: 0 }
      table.put(action, site)
      this.#forgetAt(type, action)
    }
    return site
  }

  #removeFrom(place: Place, action: Pattern, subjects: readonly Key[], rule: CompiledRule): void {
    const table = this.#types.get(place.type)
    const site = table?.get(action)
    if (table === undefined || site === undefined) return
    for (const subject of subjects) {
      const { foundBy = subject } = place
      foundBy.unhang(site, subject, rule)
      this.#tell(foundBy, subject)
    }
    site.filings -= subjects.length
    if (site.filings > 0) return
    table.remove(action)
    if (table.isEmpty) this.#types.delete(place.type)
  }
}

function collectBy({ few, many }: KeySet, sites: readonly Site[], wanted: Wanted, into: CompiledRule[]): void {
  for (const key of few) key.collect(sites, wanted, into)
  for (const keys of many) for (const key of keys.at(sites)) key.collect(sites, wanted, into)
}

interface CountingSite extends Site {
  filings: number
}

function isCoarse(rule: CompiledRule, { subjects, actions, resources }: Filing): boolean {
  if (subjects !== rule.subjects || actions !== rule.actions || resources !== rule.resources) return true
  return resources.some(({ isCompared }) => isCompared)
}
