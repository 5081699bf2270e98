import type * as authenticate from '../contract/authenticate.ts'
import type * as contexts from '../contract/contexts.ts'
import type { Body, Filter } from './contract.ts'
import { type ListOptions, type ReadOptions, type Rest, segment, type WriteOptions } from './resources.ts'

/** Security contexts: a signed token that stands for a subject, and for no more than it says. */
export function contextsOf(rest: Rest) {
  return {
    create: async (context: Body<typeof contexts.createContext>, options?: WriteOptions) =>
      rest.write<typeof contexts.createContext>('POST', '/v1/contexts', context, options, 'unkeyed'),
    /** Never wider: what would be is `unprocessable`, with pointers. */
    attenuate: async (narrowing: Body<typeof contexts.attenuateContext>, options?: WriteOptions) =>
      rest.write<typeof contexts.attenuateContext>('POST', '/v1/contexts/attenuate', narrowing, options, 'unkeyed'),
    /** What it says, if it is good now; else `unprocessable`. */
    receive: async (token: string, options?: WriteOptions) =>
      rest.write<typeof contexts.receiveContext>('POST', '/v1/contexts/receive', { token }, options, 'unkeyed'),
    list: (filter?: Filter<typeof contexts.listContexts>, options?: ListOptions) =>
      rest.list<typeof contexts.listContexts>('/v1/contexts', filter, options),
    get: async (id: string, options?: ReadOptions) =>
      rest.get<typeof contexts.getContext>(`/v1/contexts/${segment(id)}`, {}, options),
    /** With all that was narrowed from it. */
    revoke: async (id: string, options?: WriteOptions) =>
      rest.remove(`/v1/contexts/${segment(id)}`, options, 'unkeyed'),
    /** The keys that `verifyContext` takes: kept by whoever asks, and asked for again where one is missing. */
    jwks: (options?: ReadOptions) => rest.get<typeof authenticate.jwks>('/.well-known/jwks.json', {}, options),
  }
}
