/** Whether a socket with this state is closed or closing. A new socket that has never connected is `closed` without a cause. */
export const isEnded = ({ name, cause }: { readonly name: string; readonly cause?: unknown }): boolean =>
  name === 'closing' || (name === 'closed' && !!cause)
