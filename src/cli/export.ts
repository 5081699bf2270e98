import { open, rename, rm } from 'node:fs/promises'
import { Failure } from '../failure.ts'
import { askServer, type ServerOptions, urlOf } from './client.ts'
import { EXIT, type Io } from './io.ts'
import { withProgress } from './progress.ts'

export interface ExportOptions extends ServerOptions {
  readonly format?: 'yaml' | 'json'
  readonly output?: string
}

/** Writes a running Verdict's policy as a bundle, to standard output or to a file. */
export async function exportBundle(options: ExportOptions, io: Io): Promise<number> {
  const format = options.format ?? (options.output?.endsWith('.json') === true ? 'json' : 'yaml')
  const path = `/v1/bundle?format=${format}`
  const response = await withProgress(io, `exporting from ${urlOf(options, io)}`, () =>
    askServer({ method: 'GET', path }, options, io),
  )
  if (options.output === undefined) for await (const text of textOf(response)) io.stdout.write(text)
  else await writeWhole(options.output, textOf(response))
  return EXIT.ok
}

async function* textOf({ body }: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  try {
    for await (const chunk of body ?? []) yield decoder.decode(chunk, { stream: true })
  } catch (cause) {
    throw new Failure('store_unavailable', 'the export broke off', { cause })
  }
  yield decoder.decode()
}

/** The file is there whole or, if the export breaks off, as it was before. */
async function writeWhole(file: string, text: AsyncIterable<string>): Promise<void> {
  const draft = `${file}.${process.pid}.part`
  try {
    const handle = await open(draft, 'w')
    try {
      for await (const piece of text) await handle.writeFile(piece)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(draft, file)
  } catch (error) {
    await rm(draft, { force: true })
    if (error instanceof Failure) throw error
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new Failure('invalid_request', `could not write ${file}: ${why}`, { cause: error })
  }
}
