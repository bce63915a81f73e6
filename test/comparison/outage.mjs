// Outages, for the scenarios of more than one subject.

/** A good connection, and then a server that refuses for a minute. */
export const inOutage = async (rig, ...given) => {
  const client = await rig.steady(...given)
  rig.server.mode = 'refuse'
  rig.server.latest.cut()
  await rig.pass(60_000)
  return client
}

/** Goes on until an attempt has just failed: the next is a whole wait away. */
export const afterAttempt = async rig => {
  const { length } = rig.server.attempts
  await rig.until(() => rig.server.attempts.length > length, 20_000)
}

/** Whether there is a second connection, in so many milliseconds, or as many as `until` waits for. */
export const comesBack = (rig, patience) => rig.until(() => rig.server.connections.length > 1, patience)

/** Answers every handshake that waits. What is wrong if there is not one connection in the end. */
export const notOne = async rig => {
  rig.server.mode = 'accept'
  rig.server.release()
  await rig.pass(20_000)
  const open = rig.server.open.length
  if (open !== 1) return `${open} connections are open`
}
