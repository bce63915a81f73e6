import { CallError, type CallErrorCode } from './errors.js'

type Result<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  // https://standardschema.dev/schema#the-specification
  | { readonly issues: readonly { readonly message: string }[] }

/** A Standard Schema: those of zod, valibot, arktype and others are. It must validate synchronously, so that the order stays the same. */
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

/** The value that the schema makes of this one. Throws a `CallError` for a value that does not match. */
export const validate = (
  schema: CallSchema | undefined,
  value: unknown,
  code: CallErrorCode = 'INVALID',
): any => {
  if (!schema) return value
  const result = schema['~standard'].validate(value)
  if ('value' in result) return result.value
  throw new CallError(code, (result as any).issues ?? 'a schema of the contract is asynchronous')
}
