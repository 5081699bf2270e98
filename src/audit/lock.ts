import { randomBytes } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { platform } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Failure } from '../failure.ts'

export interface Lock {
  release(): Promise<void>
}

/** A socket's path has 104 to 108 bytes; a longer one would be cut off in silence. */
const LONGEST_SOCKET_PATH = 100
const NAME = /^lock-[0-9a-f]{12}\.sock$/
const ATTEMPTS = 6

/**
 * One process for each data directory. Node has no `flock`, and a file that names a process id says nothing in a
 * container, where every process is 1: whoever answers on a socket in the directory owns it.
 *
 * Each process makes a socket of its own name, then looks whether another one answers: of two that start at once at
 * least one sees the other and withdraws (both may; then chance decides the next round). A name appears only once
 * its socket listens, so that one that refuses is dead for good and can be deleted.
 */
export async function acquireLock(dataDir: string): Promise<Lock> {
  await mkdir(dataDir, { recursive: true })
  const sockets = socketFolder(resolve(dataDir))
  try {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const own = await listen(dataDir, sockets.path)
      if (await aloneIn(dataDir, sockets.path, own.name)) return lockOf(own, sockets)
      await withdraw(own)
      await pause(20 + Math.random() * 60)
    }
  } catch (error) {
    sockets.close()
    throw error
  }
  sockets.close()
  throw new Failure('unsafe_configuration', `The data directory ${dataDir} is in use by another Verdict process.`)
}

interface Claim {
  readonly name: string
  readonly file: string
  readonly server: Server
}

interface SocketFolder {
  readonly path: string
  close(): void
}

function lockOf(own: Claim, sockets: SocketFolder): Lock {
  return {
    async release() {
      await withdraw(own)
      sockets.close()
    },
  }
}

/** The directory under a name that is short enough: on Linux an open directory can be named by its descriptor. */
function socketFolder(dataDir: string): SocketFolder {
  const longest = join(dataDir, `lock-${'0'.repeat(12)}.claim`)
  if (Buffer.byteLength(longest) <= LONGEST_SOCKET_PATH) return { path: dataDir, close: () => {} }
  if (platform() !== 'linux') {
    throw new Failure('unsafe_configuration', `The path of the data directory ${dataDir} is too long for its lock.`)
  }
  const descriptor = openSync(dataDir, 'r')
  return { path: `/proc/self/fd/${descriptor}`, close: () => closeSync(descriptor) }
}

async function listen(dataDir: string, sockets: string): Promise<Claim> {
  const id = randomBytes(6).toString('hex')
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((done, failed) => {
    server.once('error', failed)
    // Its own even in one of several workers, where what is listened on is otherwise the primary's.
    server.listen({ path: join(sockets, `lock-${id}.claim`), exclusive: true }, done)
  })
  server.unref()
  const name = `lock-${id}.sock`
  const file = join(dataDir, name)
  await rename(join(dataDir, `lock-${id}.claim`), file)
  return { name, file, server }
}

async function withdraw({ file, server }: Claim): Promise<void> {
  await rm(file, { force: true })
  await new Promise((done) => server.close(done))
}

async function aloneIn(dataDir: string, sockets: string, own: string): Promise<boolean> {
  const others = (await readdir(dataDir)).filter((name) => NAME.test(name) && name !== own)
  for (const name of others) {
    if (await answers(join(sockets, name))) return false
    await rm(join(dataDir, name), { force: true })
  }
  return true
}

/** Only a refusal, or that it is gone by now, says that nobody is there. */
function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      done(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT')
    })
  })
}
