// Around any store of reliable sessions: what a node sends to a session it sends as the one that holds it. Once another node
// has taken the session over, the store refuses, so that two nodes never both send what is due. And it counts: the numbers of
// a session's messages have no holes, so that the newest one says how many were sent, whichever nodes have died meanwhile.

export const heldStore = store => {
  const leases = new Map()
  return {
    /** How many messages a session that this node holds has been sent in all. */
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
