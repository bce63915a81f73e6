// The regular work of a node, and its shutdown.
import { closeForNow } from './connection.js'
import type { Server } from './node.js'

/** Keeps connected sessions alive in the store, and closes connections whose session is lost or whose client is silent. */
const checkSessions = async ({ gate, room, openHost, sessions, report }: Server<any>): Promise<void> => {
  try {
    gate.sweep()
    room.sweep()
    const { store } = await openHost()
    // The answer is about this moment: what is sent while the store is asked may be newer.
    const all = [...sessions.values()]
    const sent = all.map(session => session.sent)
    const held = all.filter(({ isConnected }) => isConnected).map(({ id, epoch }) => ({ id, epoch }))
    // Even without sessions: this shows a store of several nodes that this node is running.
    const newest = await store.touch(held)
    const answers = new Map(held.map(({ id, epoch }, i) => [`${id} ${epoch}`, newest[i]]))
    // An answer about an older epoch does not concern a session that was resumed meanwhile.
    all.forEach((session, i) => {
      session.check(answers.get(`${session.id} ${session.epoch}`), sent[i])
    })
  } catch (error) {
    report(error)
  }
}

/** Checks regularly, but never twice at the same time: a store that does not answer is not asked again. Returns a function that stops this. */
export const startChecking = (server: Server<any>): (() => void) => {
  let isChecking = false
  const interval = Math.min(5_000, server.limits.sessionTimeout / 4)
  let last = Date.now()
  const timer = setInterval(async () => {
    const late = Date.now() - last - interval
    last = Date.now()
    // This process was suspended. It received nothing, and what its clients sent is read only after this.
    if (late > interval) for (const session of server.sessions.values()) session.excuse()
    if (isChecking) return
    isChecking = true
    await checkSessions(server)
    isChecking = false
  }, interval)
  return () => clearInterval(timer)
}

/** Resolves when the work is done, or when the time is up. */
export const within = async (ms: number, work: readonly unknown[]): Promise<void> => {
  let timer: ReturnType<typeof setTimeout> | undefined
  await Promise.race([Promise.all(work), new Promise(resolve => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}

export const shutDown = async (
  { sessions, sockets, store, openStore, report }: Server<any>,
  reason: string,
  timeout: number,
): Promise<void> => {
  const held = [...sessions.values()]
  await within(
    timeout,
    held.map(session => session.quiesce()),
  )
  const open = [...sockets]
  const closed = open.map(socket => new Promise<void>(resolve => socket.on('close', () => resolve())))
  for (const socket of open) closeForNow(socket, 1012, reason)
  // A dead client does not answer the close frame.
  await within(1_000, closed)
  for (const socket of sockets) socket.terminate()
  await within(1_000, closed)
  // Wait for the store, so that the caller can then close its connection to it. A store that does not answer is not waited for.
  const detach = async ({ id, epoch }: { id: string; epoch: number }) => {
    const node = await openStore()
    await node.detach(id, epoch)
  }
  await within(
    1_000,
    held.map(session => detach(session).catch(report)),
  )
  await within(1_000, [store.close().catch(report)])
}
