import { expect, test } from 'vitest'
import { hashOf } from '../../src/policy/hash.ts'
import { Key } from '../../src/policy/key.ts'
import { KeyTable } from '../../src/policy/key-table.ts'
import { byText } from '../../src/policy/wide-map.ts'
import { Dice } from './dice.ts'

const make = (text: string) => (hash: number) => new Key('id', 't', text, hash)

/** Puts and removes at random, first mostly the one and then mostly the other; `check` is told what must be there. */
function play(put: (text: string) => void, remove: (text: string) => void, check: (there: Set<string>) => void): void {
  const dice = new Dice(1)
  const there = new Set<string>()
  for (let step = 0; step < 40_000; step++) {
    const text = `${dice.below(12_000)}`
    if (dice.below(10) < (step < 20_000 ? 9 : 1)) {
      there.add(text)
      put(text)
    } else {
      there.delete(text)
      remove(text)
    }
    if (step % 4000 === 0) check(there)
  }
  for (const text of [...there]) {
    there.delete(text)
    remove(text)
  }
  check(there)
}

const texts = Array.from({ length: 12_000 }, (_, at) => `${at}`)

test('a table of keys has what was put into it and not removed, while it grows and shrinks', () => {
  const table = new KeyTable<Key>()
  play(
    (text) => table.take(text, make(text)),
    (text) => {
      const key = table.find(text)
      if (key !== undefined) table.remove(key)
    },
    (there) => {
      expect(texts.filter((text) => table.find(text)?.text === text)).toEqual(texts.filter((text) => there.has(text)))
      expect([...table.keys()].filter((key) => key !== undefined)).toHaveLength(there.size)
      expect(table.isEmpty).toBe(there.size === 0)
    },
  )
})

test('a wide map has what was put into it and not removed, while it grows and shrinks', () => {
  const map = byText<string>()
  play(
    (text) => map.set(text, text),
    (text) => map.delete(text),
    (there) => {
      expect(texts.filter((text) => map.get(text) === text)).toEqual(texts.filter((text) => there.has(text)))
      expect([...map.values()]).toHaveLength(there.size)
      expect(map.size).toBe(there.size)
    },
  )
})

test('a key is found by a part of a text, from its start or from its end', () => {
  const beginnings = new KeyTable<Key>()
  const endings = new KeyTable<Key>(true)
  beginnings.take('ab', make('ab'))
  endings.take('yz', make('yz'))
  expect(beginnings.findPart('abc', 2, hashOf('ab'))?.text).toBe('ab')
  expect(beginnings.findPart('acb', 2, hashOf('ab'))).toBeUndefined()
  // From the end, a text is hashed backwards.
  expect(endings.findPart('xyz', 2, hashOf('zy'))?.text).toBe('yz')
  expect(endings.findPart('yzx', 2, hashOf('zy'))).toBeUndefined()
})

test('texts of one hash are told apart', () => {
  const table = new KeyTable<Key>()
  const one = table.take('one', make('one'))
  // As if it had the same hash: it stands behind the other.
  const twin = new Key('id', 't', 'two', one.hash)
  expect(table.findPart('two', 3, twin.hash)).toBeUndefined()
})
