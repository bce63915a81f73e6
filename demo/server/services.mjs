// The services behind the proxy: a node in this process, or a service elsewhere (cluster.mjs has a third one: nodes in processes of their own). Each has
// `target(path)`: the address for a new connection, or `undefined`. Services that the demo controls also have `close(code, reason)`, which closes all
// connections, `deploy(ids)`, `stop(retryAfter)`, `start()`, `kill(node)`, and `end()`, which stops permanently.
import { startNode } from './node.mjs'
import { createWorld } from './world.mjs'

/** A node in this process. Its data outlives it. */
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
