// Lists the running nodes of the cluster, and marks the one that serves this page. Hidden if there is no cluster.
import { make, page } from './dom.js'

/** `tell()` shows that the node that served this page has ended. */
export const showNodes = (socket, tell) => {
  const kill = document.getElementById('fault-kill')
  let nodes = []
  let here
  let canBeKilled = false

  const draw = () => {
    page.nodes.hidden = nodes.length < 2 && !canBeKilled
    kill.hidden = !canBeKilled
    const items = nodes.map(node => {
      const isHere = node === here && socket.state.name === 'open'
      const item = make('li', isHere ? 'here' : '', node)
      if (isHere) item.append(make('span', 'hidden', ', which serves this page'))
      return item
    })
    page['node-list'].replaceChildren(...items)
  }
  socket.on('close', draw)

  return {
    /** A message of the server. */
    show(message) {
      const last = here
      ;({ nodes, here, canBeKilled } = message)
      kill.dataset.path = `/control/kill?node=${encodeURIComponent(here)}`
      draw()
      if (last !== undefined && !nodes.includes(last))
        tell(`Node ${last} has ended. Node ${here} serves this page now.`)
    },
    /** The server's answer to a button. Until the page is connected again, nothing else reports that a node was killed. */
    answer(text) {
      const [, killed] = /^Node (\S+) was killed/.exec(text) ?? []
      if (!killed) return
      nodes = nodes.filter(node => node !== killed)
      draw()
    },
  }
}
