import { expect, test } from 'vitest'
import { CSV_HEAD, cell, csvLine } from '../../src/http/csv.ts'
import { event } from '../audit/support.ts'

test.each([
  ['=1+1', `"'=1+1"`],
  ['+1', `"'+1"`],
  ['-1', `"'-1"`],
  ['@SUM(A1)', `"'@SUM(A1)"`],
  ['\t=1', `"'\t'=1"`],
  ['\r=1', `"'\r'=1"`],
  ['\n=1', `"'\n'=1"`],
  ['  =1', `"'  =1"`],
  ['＝1', `"'＝1"`],
  ['=cmd|"/c calc"!A1', `"'=cmd|""/c calc""!A1"`],
  ['x;=1+1;', `"x;'=1+1;"`],
  ['x; @SUM(A1);y', `"x; '@SUM(A1);y"`],
  ['x\t=1\ty', `"x\t'=1\ty"`],
  ['x\r\n=1', `"x\r\n'=1"`],
])('a cell that begins like a formula is text to a spreadsheet: %j', (text, wanted) => {
  expect(cell(text)).toBe(wanted)
})

test.each([
  ['plain', '"plain"'],
  ['a=b', '"a=b"'],
  ['say "no"', '"say ""no"""'],
  ['two\r\nlines, one cell', '"two\r\nlines, one cell"'],
  ['', '""'],
  [null, ''],
  [undefined, ''],
  [-5, '-5'],
  [false, 'false'],
  [{ a: '=1' }, '"{""a"":""=1""}"'],
  [['=1'], '"[""=1""]"'],
])('%j is written as %j', (value, wanted) => {
  expect(cell(value)).toBe(wanted)
})

test('a line has a cell for each column', () => {
  const item = { ...event({ subject: null, rules: ['default/a'] }), tenant_seq: 1, writer: 'w', seq: 0, hash: 'h' }
  const names = CSV_HEAD.trimEnd().split(',')
  const cells = csvLine(item).trimEnd().split(',')
  expect(cells.length).toBe(names.length)
  const at = (name: string) => cells[names.indexOf(name)]
  expect([at('type'), at('subject_id'), at('rules'), at('decision'), at('seq'), at('hash')]).toEqual([
    '"decision"',
    '',
    '"[""default/a""]"',
    'true',
    '0',
    '"h"',
  ])
})
