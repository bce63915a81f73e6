// What the line leads to: a node in this process, or a service elsewhere (cluster.mjs has a third: nodes in processes of
// their own). Each has `target(path)`, where a new connection goes just now, or nothing; and as far as it is in our hand
// `close(code, reason)` for every connection, `deploy(ids)`, `stop(retryAfter)` and `start()`, `kill(node)`, and `end()` for good.
import { startNode } from './node.mjs'
import { createWorld } from './world.mjs'

/** One node here. Its world outlives it. */
export const startOwn = async (env = {}) => {
  const world = await createWorld(env)
  let node = await startNode(world)
  return {
    target: () => node,
    close: (code, reason) => node?.close(code, reason) ?? 0,
    deploy: ids => node?.deploy(ids) ?? 0,
    async stop(retryAfter) {
      const old = node
      node = undefined
      await old.stop(retryAfter)
    },
    async start() {
      node = await startNode(world)
    },
    async end() {
      await node?.stop()
      await world.close()
    },
  }
}

/** A service that runs elsewhere, such as demo/recipes/python/push_server.py. */
const startElsewhere = address => {
  const { protocol, hostname: host, port } = new URL(address)
  if (protocol !== 'ws:') throw new Error('SERVICE must be an address such as ws://localhost:8765.')
  return { target: () => ({ host, port: Number(port || 80) }) }
}

export const chooseService = async env => (env.SERVICE ? startElsewhere(env.SERVICE) : startOwn(env))
