// The running nodes and the number of visitors of each. Every node reports once a second, and is removed after three seconds of silence.

const beat = 1_000
const silence = 3_000

/** `changed` is called when another node has come or gone, and when there are more or fewer visitors. */
export const createPresence = (world, name, changed) => {
  const nodes = new Map()
  let told
  let visitors = 0
  let isOver = false

  const word = () => ({ node: name, visitors, at: Date.now() })

  const summary = () => [...nodes].map(([node, { visitors }]) => `${node}: ${visitors}`).join()

  const look = () => {
    for (const [node, { at }] of nodes) if (node !== name && Date.now() - at > silence) nodes.delete(node)
    const now = summary()
    // While we are told what was said before us nobody listens yet.
    if (told === undefined || now === told) return
    told = now
    changed()
  }

  const say = () => {
    if (isOver) return
    nodes.set(name, word())
    look()
    world.nodes.append(word())
  }

  const unhear = world.nodes.hear(said => {
    // Of ourselves we know more than an older word of ours.
    if (said.node === name) return
    if (said.visitors === undefined) nodes.delete(said.node)
    else nodes.set(said.node, said)
    look()
  })
  nodes.set(name, word())
  world.nodes.append(word())
  look()
  told = summary()
  const timer = setInterval(say, beat)

  return {
    get nodes() {
      return [...nodes.keys()].sort()
    },
    get visitors() {
      return [...nodes.values()].reduce((sum, { visitors }) => sum + visitors, 0)
    },
    /** What one node is to do for all, this one does. For a moment it may be two, or none. */
    get leads() {
      return [...nodes.keys()].every(node => name <= node)
    },
    count(now) {
      visitors = now
      say()
    },
    stop() {
      // The connections that end after this are nobody's news: the next word would make us live again.
      isOver = true
      clearInterval(timer)
      unhear()
      world.nodes.append({ node: name })
    },
  }
}
