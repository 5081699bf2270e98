import type { Problem } from '../failure.ts'
import type { Budget } from './budget.ts'
import type { EntityType, Properties } from './model.ts'
import { compileSchema, type PropertySchema } from './property-schema.ts'

/** What is found about properties: problems refuse them, warnings are told to whoever sent them. */
export interface Judgement {
  readonly problems: readonly Problem[]
  readonly warnings: readonly Problem[]
}

/** What a declared type says of its entities' properties. Compiled when it is first asked. */
export class PropertyCheck {
  readonly rejects: boolean
  readonly #schema: Properties
  #compiled: PropertySchema | undefined

  constructor(schema: Properties, onInvalid: EntityType['on_invalid']) {
    this.#schema = schema
    this.rejects = onInvalid !== 'warn'
  }

  problems(properties: Properties, budget: Budget): readonly Problem[] {
    this.#compiled ??= compileSchema(this.#schema)
    return this.#compiled.problems(properties, budget)
  }
}

/** Undefined: the type says nothing of its properties. */
export function propertyCheck(type: EntityType | undefined): PropertyCheck | undefined {
  return type?.schema === undefined ? undefined : new PropertyCheck(type.schema, type.on_invalid)
}
