import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ResourceSelector } from '../../src/policy/model.ts'
import { covers, coversAction, coversResource } from '../../src/policy/narrower.ts'
import { globs } from './naive.ts'

const pattern = fc.string({
  unit: fc.constantFrom('a', 'b', '/', '*', '**', '?', '\\\\', '\\*'),
  minLength: 1,
  maxLength: 6,
})
const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '\\'), maxLength: 7 })

describe('a pattern that covers another', () => {
  test('matches every id that the other matches', () => {
    let covered = 0
    fc.assert(
      fc.property(pattern, pattern, fc.array(text, { minLength: 20, maxLength: 20 }), (wide, narrow, ids) => {
        if (!coversResource({ type: 'file', id: wide }, { type: 'file', id: narrow })) return
        covered++
        for (const id of ids) if (globs(narrow, id, false)) expect(globs(wide, id, false)).toBe(true)
      }),
      { numRuns: 50_000 },
    )
    expect(covered).toBeGreaterThan(1000)
  })

  test('matches every action that the other matches', () => {
    fc.assert(
      fc.property(pattern, pattern, fc.array(text, { minLength: 20, maxLength: 20 }), (wide, narrow, actions) => {
        if (!coversAction(wide, narrow)) return
        for (const action of actions) if (globs(narrow, action, true)) expect(globs(wide, action, true)).toBe(true)
      }),
      { numRuns: 20_000 },
    )
  })

  test('is found where one is a plain id', () => {
    fc.assert(
      fc.property(pattern, fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 7 }), (wide, id) => {
        fc.pre(id !== '')
        expect(coversResource({ type: 'file', id: wide }, { type: 'file', id })).toBe(globs(wide, id, false))
      }),
      { numRuns: 20_000 },
    )
  })

  test.each([
    ['reports/**', 'reports/2026/*', true],
    ['reports/*', 'reports/**', false],
    ['reports/*', 'reports/q?', true],
    ['reports/?', 'reports/*', false],
    ['*/summary', 'q1/summary', true],
    ['*', 'a/b', false],
    ['**', '*', true],
    ['a\\*', 'a*', false],
    ['a*', 'a\\*', true],
  ])('%s covers %s: %s', (wide, narrow, expected) => {
    expect(coversResource({ type: 'file', id: wide }, { type: 'file', id: narrow })).toBe(expected)
  })
})

describe('a grant that covers another', () => {
  const folder = { type: 'folder', id: '42' }
  const resources = (...all: ResourceSelector[]) => ({ actions: ['file:read'], resources: all })

  test.each<[string, ResourceSelector, ResourceSelector, boolean]>([
    ['any type, of a type', { type: '*' }, { type: 'file', id: 'a' }, true],
    ['a type, of any', { type: 'file' }, { type: '*' }, false],
    ['one id, of any id of its type', { type: 'file', id: 'a' }, { type: 'file' }, false],
    ['what is in a folder, of what is anywhere', { type: 'file', within: folder }, { type: 'file' }, false],
    ['what is anywhere, of what is in a folder', { type: 'file' }, { type: 'file', within: folder }, true],
    [
      'what is in a folder, of some of it',
      { type: 'file', within: folder },
      { type: 'file', id: 'a', within: folder },
      true,
    ],
    [
      'what is in a folder, of what is in another',
      { type: 'file', within: folder },
      { type: 'file', within: { type: 'folder', id: '43' } },
      false,
    ],
  ])('%s', (_, wide, narrow, expected) => {
    expect(covers(resources(wide), resources(narrow))).toBe(expected)
  })

  test('has every action and every resource of it, by whichever of its own', () => {
    const wide = { actions: ['file:*', 'folder:list'], resources: [{ type: 'file', id: 'a/**' }, { type: 'folder' }] }
    const narrow = {
      actions: ['file:read', 'folder:list'],
      resources: [{ type: 'folder' }, { type: 'file', id: 'a/b' }],
    }
    expect(covers(wide, narrow)).toBe(true)
    expect(covers(wide, { ...narrow, actions: ['file:read', 'folder:delete'] })).toBe(false)
    expect(covers(wide, { ...narrow, resources: [{ type: 'folder' }, { type: 'file', id: 'b' }] })).toBe(false)
  })

  test('keeps its condition', () => {
    const wide = { ...resources({ type: 'file' }), condition: 'context.a' }
    expect(covers(wide, resources({ type: 'file' }))).toBe(false)
    expect(covers(wide, { ...resources({ type: 'file' }), condition: 'context.a || true' })).toBe(false)
    expect(covers(wide, { ...resources({ type: 'file' }), condition: 'context.a' })).toBe(true)
    expect(covers(resources({ type: 'file' }), { ...resources({ type: 'file' }), condition: null })).toBe(true)
  })
})
