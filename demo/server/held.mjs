// Wraps a store of reliable sessions, so that a node can send to a session only while it holds it. If another node has resumed the session, the store refuses
// the message, so that two nodes never send the same one. It also counts: the numbers of a session's messages are consecutive, so the newest number is the
// number of sent messages, whichever nodes have died.

export const heldStore = store => {
  const leases = new Map()
  return {
    /** The number of messages that were sent to a session that this node holds. */
    sent: session => leases.get(session)?.sequenceId,

    async open(limits, onEvent) {
      const node = await store.open(limits, onEvent)
      return {
        ...node,
        async create(session) {
          const isMade = await node.create(session)
          if (isMade) leases.set(session.id, { epoch: 1, sequenceId: 0 })
          return isMade
        },
        async resume(id, ...tokens) {
          const lease = await node.resume(id, ...tokens)
          if (lease) leases.set(id, { ...lease })
          return lease
        },
        async detach(id, epoch) {
          if (leases.get(id)?.epoch === epoch) leases.delete(id)
          return node.detach(id, epoch)
        },
        async commit(effects, claim) {
          const [{ kind, session } = {}] = effects
          const lease = !claim && effects.length === 1 && kind === 'send' && leases.get(session)
          if (!lease) return node.commit(effects, claim)
          lease.sequenceId++
          return node.commit(effects, { session, epoch: lease.epoch })
        },
      }
    },
  }
}
