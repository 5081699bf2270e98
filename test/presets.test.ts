import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'

test('every preset has its decision cases beside it', () => {
  const names = readdirSync(new URL('../presets/', import.meta.url)).filter((name) => name.endsWith('.yaml'))
  const presets = names.filter((name) => !name.endsWith('.cases.yaml')).map((name) => name.replace(/\.yaml$/, ''))
  expect(presets).toContain('quickstart')
  expect(presets.filter((name) => !names.includes(`${name}.cases.yaml`))).toEqual([])
})
