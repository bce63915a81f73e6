import fc from 'fast-check'

/** Yields one of the choices, in proportion to their weights. A failing run shrinks towards the first choice. */
export const either = <Value>(
  ...choices: [weight: number, value: fc.Arbitrary<Value>][]
): fc.Arbitrary<Value> =>
  fc.oneof(
    { withCrossShrink: true },
    ...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })),
  ) as fc.Arbitrary<Value>

/** Always yields this value. */
export const one = <Value>(value: Value): fc.Arbitrary<Value> => fc.constant(value)
