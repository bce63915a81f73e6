// One node of the cluster in a process of its own. It exits when its parent process has ended.
import { startNode } from './node.mjs'
import { createWorld } from './world.mjs'

process.on('disconnect', () => process.exit())
// Ctrl+C reaches all processes of a terminal. Ignored here, because the parent process decides when to stop.
process.on('SIGINT', () => {})

const world = await createWorld(process.env)
const node = await startNode(world, { name: process.argv[2], canBeKilled: true })

// A parent process that has ended meanwhile is no error.
const report = message => process.send(message, () => {})

process.on('message', async ({ close, deploy, ended, stop }) => {
  if (ended) return node.forget(ended)
  if (close) return report({ count: node.close(...close) })
  if (deploy) return report({ count: node.deploy(deploy) })
  await node.stop(...stop)
  await world.close()
  process.exit()
})
report({ port: node.port })
