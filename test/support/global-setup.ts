import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { findBinaries, findRunner } from '../../src/store/binaries.ts'
import { Cluster, initialise, SUPERUSER } from '../../src/store/cluster.ts'
import { migrate } from '../../src/store/migrate.ts'
import type { TestPostgres } from './database.ts'

/**
 * One Postgres for the whole run: the server that DATABASE_URL names, or an embedded one in a directory of its own.
 * On it, a migrated database that every test file copies, and a restricted role for the service.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env['DATABASE_URL']
  const server = given === undefined || given === '' ? await embedded() : { url: given, stop: async () => undefined }
  const run = randomBytes(6).toString('hex')
  const facts: TestPostgres = {
    adminUrl: server.url,
    prefix: `verdict_test_${run}`,
    template: `verdict_test_${run}_template`,
    serviceUser: `verdict_test_${run}_service`,
    servicePassword: randomBytes(18).toString('base64url'),
  }
  const teardown = async () => {
    if (server.url === given) await dropAll(facts)
    await server.stop()
  }
  try {
    await makeTemplate(facts)
  } catch (error) {
    await teardown()
    throw error
  }
  project.provide('postgres', facts)
  return teardown
}

async function makeTemplate(facts: TestPostgres): Promise<void> {
  const admin = new pg.Client({ connectionString: facts.adminUrl })
  await admin.connect()
  try {
    await admin.query(`create role ${facts.serviceUser} login password '${facts.servicePassword}'`)
    await admin.query(`create database ${facts.template}`)
  } finally {
    await admin.end()
  }
  const url = new URL(facts.adminUrl)
  url.pathname = `/${facts.template}`
  await migrate(url.href, facts.serviceUser)
}

async function dropAll(facts: TestPostgres): Promise<void> {
  const admin = new pg.Client({ connectionString: facts.adminUrl })
  await admin.connect()
  const { rows } = await admin.query<{ datname: string }>(
    'select datname from pg_database where starts_with(datname, $1)',
    [facts.prefix],
  )
  for (const { datname } of rows)
    await admin.query(`drop database if exists ${admin.escapeIdentifier(datname)} with (force)`)
  await admin.query(`drop role if exists ${facts.serviceUser}`)
  await admin.end()
}

// What a power cut would lose, these tests do not need.
const VOLATILE = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  max_wal_size: '256MB',
  max_connections: '200',
}

async function embedded(): Promise<{ url: string; stop: () => Promise<void> }> {
  const runner = await findRunner()
  const home = await mkdtemp(join(tmpdir(), 'verdict-test-'))
  // A run that is cut short never comes to its teardown.
  const atExit = () => rmSync(home, { recursive: true, force: true })
  process.once('exit', atExit)
  const remove = async () => {
    process.off('exit', atExit)
    await rm(home, { recursive: true, force: true })
  }
  try {
    // The runner may be another user than ours, who must pass through.
    await chmod(home, 0o711)
    const binaries = await findBinaries(runner, home, () => undefined)
    const password = randomBytes(18).toString('base64url')
    const directory = join(home, 'postgres')
    const options = { binaries, runner, directory, password, settings: VOLATILE }
    await initialise(options)
    const cluster = await Cluster.start(options)
    const stop = () => cluster.stop('immediate').then(remove)
    return { url: cluster.url(SUPERUSER, password, 'postgres'), stop }
  } catch (error) {
    await remove()
    throw error
  }
}
