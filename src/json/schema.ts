/** A problem with a message, in the form of Standard Schema. */
// https://standardschema.dev/schema#the-specification
export interface Issue {
  /** A description of the problem. */
  readonly message: string
  /** The place in the value. Default: the value as a whole. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
  /** The error that was thrown, if the message could not be decoded or the validator itself failed. */
  readonly cause?: unknown
}

type Result<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly Issue[] }

/** A Standard Schema, such as those of zod, valibot and arktype. */
// https://standardschema.dev/schema#the-specification
export interface Schema<Output> {
  readonly '~standard': {
    readonly version: 1
    readonly validate: (value: unknown) => Result<Output> | Promise<Result<Output>>
    readonly types?: { readonly output: Output } | undefined
  }
}

/** The schema that accepts every value. */
export const ANYTHING: Schema<unknown> = { '~standard': { version: 1, validate: value => ({ value }) } }
