import fc from 'fast-check'

/** One of these, as often as its weight says. A failing run shrinks towards the first. */
export const either = <Value>(
  ...choices: [weight: number, value: fc.Arbitrary<Value>][]
): fc.Arbitrary<Value> =>
  fc.oneof(
    { withCrossShrink: true },
    ...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })),
  ) as fc.Arbitrary<Value>

/** Always this value. */
export const one = <Value>(value: Value): fc.Arbitrary<Value> => fc.constant(value)
