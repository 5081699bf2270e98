#!/usr/bin/env node
import cluster from 'node:cluster'
import { run } from './cli/program.ts'

// Whoever read what we print has gone (`verdict openapi | head`): nothing to tell, and nobody to tell it to.
process.stdout.on('error', () => process.exit(1))

// Not process.exit(): what was written to a pipe is to arrive whole.
process.exitCode = await run(process.argv.slice(2), process)
// As one of several workers: the line to the process that started it would hold it.
cluster.worker?.disconnect()
