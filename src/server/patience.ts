// A client that publishes to a group is slowed down by the group's slowest connected member.

/** How long a publication waits for connected members that are too far behind. After that, their sessions are ended. */
export const PATIENCE = 3_000

/** Resolves when it is time to try again, given how many milliseconds it has waited so far. */
export const delay = (waited: number): Promise<void> =>
  new Promise(resolve => setTimeout(resolve, Math.min(Math.max(10, waited), 250)))
