// Outages that several groups of scenarios use.

/** Opens a connection, and then starts an outage: the connection is lost, and the server refuses new ones for a minute. */
export const inOutage = async (rig, ...given) => {
  const client = await rig.steady(...given)
  rig.server.mode = 'refuse'
  rig.server.latest.cut()
  await rig.pass(60_000)
  return client
}

/** Waits until an attempt has failed, so that the next one starts after a whole delay. */
export const afterAttempt = async rig => {
  const { length } = rig.server.attempts
  await rig.until(() => rig.server.attempts.length > length, 20_000)
}

/** Resolves with whether there is a second connection within `patience` milliseconds, by default within those of `until()`. */
export const reconnects = (rig, patience) => rig.until(() => rig.server.connections.length > 1, patience)

/** Answers all pending handshakes. Returns a message if there is not exactly one connection at the end. */
export const checkOneConnection = async rig => {
  rig.server.mode = 'accept'
  rig.server.release()
  await rig.pass(20_000)
  const open = rig.server.open.length
  if (open !== 1) return `${open} connections are open`
}
