// A process that appends for ever and says on its standard output what was confirmed, for a test to kill.
// Arguments: the journals' folder, and the folder of the compiled program.
import { writeSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [root = '', program = ''] = process.argv.slice(2)
const { Journal } = await import(`${pathToFileURL(program)}/audit/journal.js`)
const journal = await Journal.open({ root, fsync: 'off', segmentBytes: 20_000 })

async function appendForEver(tenant) {
  for (let n = 0; ; n++) {
    const seq = await journal.append(tenant, JSON.stringify({ tenant, n, pad: 'x'.repeat((n * 31) % 500) }))
    writeSync(1, `${JSON.stringify([seq, tenant, n])}\n`)
  }
}

for (let each = 0; each < 16; each++) appendForEver(`tenant-${each}`)
