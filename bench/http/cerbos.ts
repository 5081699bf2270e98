import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Question } from '../audit/callers.ts'
import type { Room } from '../audit/room.ts'
import { ROOT } from '../results.ts'
import { freePort, statusOf } from '../soak/program.ts'
import { type Door, ended, peerDoor } from './doors.ts'

/** Where `npm ci --prefix bench --ignore-scripts` puts it, where there is one for the platform. */
const NAME = `cerbos-${process.platform}-${process.arch}`
const BINARY = new URL(`bench/node_modules/@cerbos/${NAME}/${NAME}`, ROOT).pathname

export const hasCerbos = () => existsSync(BINARY)

/** What the rule of the bench says, in Cerbos's words. */
const POLICY = `apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: document
  version: default
  rules:
    - actions: ['document:read']
      effect: EFFECT_ALLOW
      roles: ['*']
      condition:
        match:
          all:
            of:
              - expr: R.id.startsWith("fresh/")
              - expr: R.attr.owner == P.id
`

/** Cerbos's own server with its policies in a folder, in memory once it has read them. */
export async function cerbosDoor(room: Room, audit: 'off' | 'on'): Promise<Door> {
  const folder = join(room.folder, `cerbos-${audit}`)
  const policies = join(folder, 'policies')
  await mkdir(policies, { recursive: true })
  await writeFile(join(policies, 'document.yaml'), POLICY)
  const [http, grpc] = [await freePort(), await freePort()]
  const config = {
    server: { httpListenAddr: `127.0.0.1:${http}`, grpcListenAddr: `127.0.0.1:${grpc}` },
    storage: { driver: 'disk', disk: { directory: policies, watchForChanges: false } },
    telemetry: { disabled: true },
    audit: {
      enabled: audit === 'on',
      accessLogsEnabled: false,
      decisionLogsEnabled: true,
      backend: 'file',
      file: { path: join(folder, 'audit.log') },
    },
  }
  // JSON is YAML too.
  await writeFile(join(folder, 'config.yaml'), JSON.stringify(config))
  const args = ['server', `--config=${join(folder, 'config.yaml')}`, '--log-level=error']
  const child = spawn(BINARY, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  room.add(() => ended(child))
  const url = `http://127.0.0.1:${http}`
  for (let attempt = 0; (await statusOf(`${url}/_cerbos/health`)) !== 200; attempt++) {
    if (attempt > 200 || child.exitCode !== null) throw new Error('Cerbos did not start')
    await pause(50)
  }
  return peerDoor(`Cerbos, audit ${audit}`, child, url, 'none', question)
}

let asked = 0

/** The same question as Verdict's, one in eight about somebody else's. */
function question(): Question {
  const at = asked++
  const isAllowed = at % 8 !== 0
  const owner = isAllowed ? at % 1000 : 1000
  return {
    path: '/api/check/resources',
    body: `{"requestId":"${at}","principal":{"id":"user-${at % 1000}","roles":["user"]},"resources":[{"actions":["document:read"],"resource":{"kind":"document","id":"fresh/${at}","attr":{"owner":"user-${owner}"}}}]}`,
    isRight: (answer) => answer.includes(isAllowed ? '"EFFECT_ALLOW"' : '"EFFECT_DENY"'),
  }
}
