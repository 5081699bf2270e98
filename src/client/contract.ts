import type { Static, TSchema } from 'typebox'

/** The types of what a route takes and gives, as the contract has them. */

/** Lists that a caller made with `as const` are as good as others. */
export type Input<T> = T extends readonly (infer Item)[]
  ? readonly Input<Item>[]
  : T extends object
    ? { readonly [Member in keyof T]: Input<T[Member]> }
    : T

type Response<Route> = Route extends { readonly schema: { readonly response: infer R } } ? R : never

export type Answer<Route> =
  Response<Route> extends { readonly 200: infer S extends TSchema }
    ? Static<S>
    : Response<Route> extends { readonly 201: infer S extends TSchema }
      ? Static<S>
      : never

export type Body<Route> = Route extends { readonly schema: { readonly body: infer S extends TSchema } }
  ? Input<Static<S>>
  : never

/** Without what pages are asked for by. */
export type Filter<Route> = Route extends { readonly schema: { readonly querystring: infer S extends TSchema } }
  ? OnlyThese<Omit<Input<Static<S>>, 'limit' | 'cursor'>>
  : never

/** Anything is a `{}`. */
type OnlyThese<Members> = keyof Members extends never ? Readonly<Record<string, never>> : Members

/** What a list holds. */
export type Item<Route> = Answer<Route> extends { items: (infer I)[] } ? I : never
