import { Bucket } from './bucket.ts'
import { found, type Site, type Wanted } from './candidate.ts'
import type { CompiledRule } from './compiled-rule.ts'
import { WideMap } from './wide-map.ts'

/** What rules say of a subject (anybody, an entity, a role) or of a resource (what it is in, its id or parts of it). */
export type KeyKind = 'any' | 'subject' | 'role' | 'ancestor' | 'id'

/** A rule that is found by a key: where, and for whom. */
interface Near {
  readonly site: Site
  readonly subject: Key
  readonly rule: CompiledRule
  readonly next: Near | undefined
}

type BySite = WideMap<Site, Bucket>

/**
 * Something that rules name: an entity, a role, the id of a resource or how it begins. All that name it share one key,
 * and the rules that are found by it hang on it: whoever has the key has them, without another look-up.
 *
 * A decision marks the keys that hold for its request with its own number, so that asking for one is a comparison. Marks
 * are never taken back: the next decision has another number.
 *
 * Most keys have few rules, the first of which is held right here. More are told apart by site, then by subject.
 */
export class Key {
  // In the order in which a look-up and a decision read them: they come from memory together.
  readonly hash: number
  readonly text: string
  /** The last decision in which it held. */
  heldAt = 0
  #site: Site | undefined
  #rule: CompiledRule | undefined
  #subject: Key | undefined
  #more: Near | BySite | undefined
  /** The last decision in which it could not be told, because a derived role's condition erred. */
  erredAt = 0
  /** How many things name it. */
  users = 0
  /** Of the entity, or of the resource whose id it is about. */
  readonly type: string
  readonly kind: KeyKind

  constructor(kind: KeyKind, type: string, text: string, hash: number) {
    this.hash = hash
    this.text = text
    this.type = type
    this.kind = kind
  }

  /** `few`: how many hang on it in a list, before they are told apart. */
  hang(site: Site, subject: Key, rule: CompiledRule, few: number): void {
    if (this.#more instanceof WideMap) bucketOf(this.#more, site).add(subject, rule, few)
    else if (this.#rule === undefined && few > 0) {
      this.#site = site
      this.#subject = subject
      this.#rule = rule
    } else {
      const list = { site, subject, rule, next: this.#more }
      this.#more = lengthOf(list) < few ? list : this.#spread(list, few)
    }
  }

  unhang(site: Site, subject: Key, rule: CompiledRule): void {
    const more = this.#more
    if (more instanceof WideMap) {
      const bucket = more.get(site)
      bucket?.remove(subject, rule)
      if (bucket?.isEmpty) more.delete(site)
      if (more.size === 0) this.#more = undefined
    } else if (this.#rule === rule && this.#site === site && this.#subject === subject) {
      this.#site = more?.site
      this.#subject = more?.subject
      this.#rule = more?.rule
      this.#more = more?.next
    } else this.#more = without(more, (near) => near.rule === rule && near.site === site && near.subject === subject)
  }

  /** Pushes those of its rules that match. `sites` are marked. */
  collect(sites: readonly Site[], wanted: Wanted, into: CompiledRule[]): void {
    if (this.#site?.askedAt === wanted.at && this.#rule !== undefined && this.#subject !== undefined) {
      found(this.#rule, this.#subject, wanted, into)
    }
    const more = this.#more
    if (more === undefined) return
    if (more instanceof WideMap) collectFrom(more, sites, wanted, into)
    else {
      for (let near: Near | undefined = more; near !== undefined; near = near.next) {
        if (near.site.askedAt === wanted.at) found(near.rule, near.subject, wanted, into)
      }
    }
  }

  /** Whether some rule at one of the sites is found by it. */
  isAt(sites: readonly Site[]): boolean {
    if (this.#site !== undefined && sites.includes(this.#site)) return true
    const more = this.#more
    if (more instanceof WideMap) return sites.some((site) => more.get(site) !== undefined)
    for (let near = more; near !== undefined; near = near.next) if (sites.includes(near.site)) return true
    return false
  }

  /** All rules that are found by it. */
  *rules(): Generator<CompiledRule> {
    if (this.#rule !== undefined) yield this.#rule
    if (this.#more instanceof WideMap) for (const bucket of this.#more.values()) yield* bucket.rules()
    else for (let near = this.#more; near !== undefined; near = near.next) yield near.rule
  }

  #spread(list: Near, few: number): BySite {
    const bySite: BySite = new WideMap((site) => site.hash)
    for (let near: Near | undefined = list; near !== undefined; near = near.next) {
      bucketOf(bySite, near.site).add(near.subject, near.rule, few)
    }
    if (this.#site !== undefined && this.#subject !== undefined && this.#rule !== undefined) {
      bucketOf(bySite, this.#site).add(this.#subject, this.#rule, few)
    }
    this.#site = undefined
    this.#subject = undefined
    this.#rule = undefined
    return bySite
  }
}

function collectFrom(bySite: BySite, sites: readonly Site[], wanted: Wanted, into: CompiledRule[]): void {
  for (const site of sites) bySite.get(site)?.collect(wanted, into)
}

function lengthOf(list: Near): number {
  let length = 0
  for (let near: Near | undefined = list; near !== undefined; near = near.next) length++
  return length
}

/** The list without the first that fits. It is short. */
function without(list: Near | undefined, fits: (near: Near) => boolean): Near | undefined {
  if (list === undefined || fits(list)) return list?.next
  return { ...list, next: without(list.next, fits) }
}

function bucketOf(bySite: BySite, site: Site): Bucket {
  let bucket = bySite.get(site)
  if (bucket === undefined) {
    bucket = new Bucket()
    bySite.set(site, bucket)
  }
  return bucket
}
