import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { isMainThread } from 'node:worker_threads'

// Loaded into a service before its own program (`node --import`): takes samples of where its main thread is, from one
// SIGUSR2 to the next. The file is there once the second has been heard.
const INTERVAL_US = 1000
const target = process.env['SAMPLES']
const session = new Session()
let isOn = false

if (isMainThread && target !== undefined) {
  session.connect()
  process.on('SIGUSR2', () => {
    isOn = !isOn
    if (isOn) void begin()
    else void end(target)
  })
}

async function begin(): Promise<void> {
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US })
  await session.post('Profiler.start')
}

async function end(file: string): Promise<void> {
  const { profile } = await session.post('Profiler.stop')
  writeFileSync(file, JSON.stringify(profile))
}
