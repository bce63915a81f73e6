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
