// Lists the nodes of the cluster, and marks the one that serves this page. Hidden if there is only one.
import { make, page } from './dom.js'

export const showNodes = () => {
  const kill = document.getElementById('fault-kill')
  let drawn = ''

  return ({ nodes, here, canBeKilled }) => {
    const now = JSON.stringify([nodes, here, canBeKilled])
    if (now === drawn) return
    drawn = now
    page.nodes.hidden = nodes.length < 2
    kill.hidden = nodes.length < 2 || !canBeKilled
    kill.dataset.path = `/control/kill?node=${encodeURIComponent(here)}`
    const names = nodes.map(node => {
      const item = make('li', '', node)
      if (node === here) item.append(make('span', 'hidden', ', which serves this page'))
      item.classList.toggle('here', node === here)
      return item
    })
    page['node-list'].replaceChildren(...names)
  }
}
