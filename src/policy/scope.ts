import type { Properties } from './model.ts'

/** What a condition can read, lazily: most conditions read one or two attributes. */
export interface Scope {
  readonly subject: SubjectView
  readonly action: ActionView
  readonly resource: ResourceView
  readonly context: Properties
  readonly now: Date
  /** The tenant's, from the lowest to the highest. */
  readonly levels: readonly string[]
}

/** Where a view takes its values from: one decision. */
export interface SubjectSource {
  readonly subjectType: string
  readonly subjectId: string
  readonly subjectKnown: boolean
  subjectProperties(): Properties
  /** Throws where a derived role is in error. */
  subjectRoles(): readonly string[]
}

export interface ResourceSource {
  readonly resourceType: string
  readonly resourceId: string
  readonly resourceKnown: boolean
  resourceProperties(): Properties
}

// Classes of their own, because CEL's types are told apart by their constructor. Getters, so that nothing is computed
// that no condition reads.

export class SubjectView {
  readonly #from: SubjectSource

  constructor(from: SubjectSource) {
    this.#from = from
  }

  get type(): string {
    return this.#from.subjectType
  }

  get id(): string {
    return this.#from.subjectId
  }

  get known(): boolean {
    return this.#from.subjectKnown
  }

  get properties(): Properties {
    return this.#from.subjectProperties()
  }

  get roles(): readonly string[] {
    return this.#from.subjectRoles()
  }
}

export class ResourceView {
  readonly #from: ResourceSource

  constructor(from: ResourceSource) {
    this.#from = from
  }

  get type(): string {
    return this.#from.resourceType
  }

  get id(): string {
    return this.#from.resourceId
  }

  get known(): boolean {
    return this.#from.resourceKnown
  }

  get properties(): Properties {
    return this.#from.resourceProperties()
  }
}

export class ActionView {
  readonly name: string
  readonly properties: Properties

  constructor(name: string, properties: Properties) {
    this.name = name
    this.properties = properties
  }
}
