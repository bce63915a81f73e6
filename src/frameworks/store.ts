/**
 * A value that changes, in the form that all frameworks have in common: a function that calls `onChange` for each change until the function
 * that it returns is called, and a function that returns the value. `isFirst`: the value that a server renders, which is also the first
 * one in a browser, so that hydration finds what the server has rendered.
 */
export type Store<Value> = readonly [
  listen: (onChange: () => void) => () => void,
  get: (isFirst?: boolean) => Value,
]
