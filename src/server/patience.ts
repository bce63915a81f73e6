// Clients that publish are slowed down by the slowest connected member of a group.

/** How long a publication waits for connected members that are behind. Then their sessions are ended. */
export const PATIENCE = 3_000

/** Resolves when it is time to try again, having waited for so many milliseconds. */
export const delay = (waited: number): Promise<void> =>
  new Promise(resolve => setTimeout(resolve, Math.min(Math.max(10, waited), 250)))
