import { Failure } from '../../failure.ts'

/** The lines of an answer as they come. @throws Failure `store_unavailable`: it broke off. */
export async function* linesOf({ body }: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  try {
    for await (const chunk of body ?? []) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      yield* lines
    }
  } catch (cause) {
    throw new Failure('store_unavailable', 'the answer broke off', { cause })
  }
  // Every line ends with a newline: what does not is half a line.
  if (rest !== '') throw new Failure('store_unavailable', 'the answer broke off')
}
