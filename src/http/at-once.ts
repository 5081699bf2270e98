/**
 * Goes on with a value, at once where there is nothing to wait for: on the way of a decision, each promise costs 1 µs, and
 * a turn of the loop to everybody behind it.
 */
export function after<T, U>(value: T | Promise<T>, next: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}
