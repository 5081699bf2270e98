import type { Asked } from '../decide/mix.ts'

/** Yes or no to a question that was made ready for it (not timed, as the gathering of what it says is not a decision). */
export interface Peer<T> {
  ready(asked: Asked): T
  ask(question: T): boolean
}

/** Rules, or something about them, that a peer has no words for. */
export class NotExpressible extends Error {}
