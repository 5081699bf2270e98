import { expect, test } from 'vitest'
import { inByteOrder, SortedTexts } from '../../src/policy/search/sorted-texts.ts'
import { Dice } from './dice.ts'

test('texts stand in the order of the bytes of their UTF-8, as in Postgres, whatever is in them', () => {
  const texts = ['', 'a', 'a/b', 'a\uffee', 'a\u{1f600}', 'a\ue000', 'Z', 'é', 'ab', '\u{10ffff}', '\ud7ff']
  const bytes = [...texts].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
  expect([...texts].sort(inByteOrder)).toEqual(bytes)
})

test('a set of them is what was added and not deleted, in order, from wherever it is read', () => {
  const dice = new Dice(1)
  const wanted = new Set<string>()
  const texts = new SortedTexts()
  for (let step = 0; step < 20_000; step++) {
    const text = String(dice.below(4000))
    if (step < 12_000 || dice.chance(3)) {
      texts.add(text)
      wanted.add(text)
    } else {
      texts.delete(text)
      wanted.delete(text)
    }
  }
  const sorted = [...wanted].sort(inByteOrder)
  expect(texts.size).toBe(wanted.size)
  for (const from of ['', '0', '2', '2000', '39999', '4', 'x']) {
    expect([...texts.from(from)]).toEqual(sorted.filter((text) => inByteOrder(text, from) >= 0))
  }
  for (const text of sorted) texts.delete(text)
  expect([texts.size, ...texts.from('')]).toEqual([0])
})
