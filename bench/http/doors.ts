import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type Answered, type Load, press, type Question } from '../audit/callers.ts'
import type { Room } from '../audit/room.ts'
import type { Service } from '../audit/service.ts'
import { familySeconds } from '../processor.ts'

/** A server in a process of its own, and how it is asked. */
export interface Door {
  readonly name: string
  /** Every answer is held against the right one. */
  press(load: Pick<Load, 'connections' | 'seconds'>): Promise<Answered>
  /** Seconds of processor time so far, of itself and of its database. */
  spent(): { readonly own: number; readonly database: number }
  /** Until nothing is left of what it put off. */
  settled(): Promise<unknown>
}

export function verdictDoor(service: Service, name = 'Verdict'): Door {
  return {
    name,
    press: (load) => service.press(load),
    spent: () => service.family,
    settled: () => service.drained(),
  }
}

/** A bare server of this folder, that says its URL when it listens. */
export async function bareDoor(room: Room, name: string, script: string): Promise<Door> {
  const child = spawn(process.execPath, [new URL(script, import.meta.url).pathname], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  room.add(() => ended(child))
  const [line] = await once(child.stdout, 'data')
  return peerDoor(name, child, String(line).trim(), 'none', bareQuestion)
}

export function peerDoor(name: string, child: ChildProcess, url: string, key: string, question: () => Question): Door {
  return {
    name,
    press: (load) => press({ ...load, url, key, question }),
    spent: () => familySeconds(child.pid ?? Number.NaN),
    settled: async () => {},
  }
}

let asked = 0

/** As long as the ones that Verdict is asked. Whoever does no work allows everything. */
function bareQuestion(): Question {
  const at = asked++
  const user = `user-${at % 1000}`
  return {
    path: '/v1/authorize',
    body: `{"subject":{"type":"user","id":"${user}"},"action":{"name":"document:read"},"resource":{"type":"document","id":"fresh/${at}","properties":{"owner":"${user}"}}}`,
    isRight: (answer) => answer.includes('"decision":true'),
  }
}

export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}
