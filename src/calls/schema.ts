import { CallError, type CallErrorCode } from './errors.js'

type Result<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] }

/** A Standard Schema, such as those of zod, valibot and arktype. It must validate synchronously, so that the order stays the same. */
// https://standardschema.dev/schema#the-specification
export interface CallSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly validate: (value: unknown) => Result<Output> | Promise<Result<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** The schemas of one name. */
export interface ContractEntry {
  /** Of the parameters of a call or a subscription. */
  readonly params?: CallSchema<any, any> | undefined
  /** Of the result of a call. */
  readonly result?: CallSchema<any, any> | undefined
  /** Of the items of a subscription. */
  readonly event?: CallSchema<any, any> | undefined
}

/** Returns the output of the schema for this value. Throws a `CallError` for a value that does not match. */
export const validate = (
  schema: CallSchema | undefined,
  value: unknown,
  code: CallErrorCode = 'INVALID',
): any => {
  if (!schema) return value
  const result: any = schema['~standard'].validate(value)
  if (result.then) throw new CallError(code, 'a schema of the contract is asynchronous')
  // A result with issues may have a value, too.
  if (result.issues) throw new CallError(code, result.issues)
  return result.value
}
