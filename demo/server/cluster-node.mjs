// One node of the cluster as a process of its own, to be killed. It ends by itself when whoever started it is gone.
import { startNode } from './node.mjs'
import { createWorld } from './world.mjs'

process.on('disconnect', () => process.exit())
// Ctrl+C reaches all processes of a terminal. The one that has started us tells us what to do.
process.on('SIGINT', () => {})

const world = await createWorld(process.env)
const node = await startNode(world, { name: process.argv[2], canBeKilled: true })

process.on('message', async ({ close, stop }) => {
  if (close) return process.send({ closed: node.close(...close) })
  await node.stop(...stop)
  await world.close()
  process.exit()
})
process.send({ port: node.port })
