// The running nodes and the number of visitors of each. Every node reports once a second, and is removed after three seconds of silence.

const beat = 1_000
const silence = 3_000

/** `changed` is called when another node has come or gone, and when there are more or fewer visitors. */
export const createPresence = (world, name, changed) => {
  const nodes = new Map()
  /** When the processes of other nodes ended. Their last reports may arrive after that. */
  const ends = new Map()
  let reported
  let visitors = 0
  let isOver = false

  const createReport = () => ({ node: name, visitors, at: Date.now() })

  const summary = () => [...nodes].map(([node, { visitors }]) => `${node}: ${visitors}`).join()

  const update = () => {
    for (const [node, { at }] of nodes) if (node !== name && Date.now() - at > silence) nodes.delete(node)
    const now = summary()
    // During the initial entries of the log, there are no listeners yet.
    if (reported === undefined || now === reported) return
    reported = now
    changed()
  }

  const sendReport = () => {
    if (isOver) return
    nodes.set(name, createReport())
    update()
    world.nodes.append(createReport())
  }

  const unsubscribe = world.nodes.subscribe(report => {
    // An older report of this node is ignored.
    if (report.node === name || report.at <= ends.get(report.node)) return
    if (report.visitors === undefined) nodes.delete(report.node)
    else nodes.set(report.node, report)
    update()
  })
  nodes.set(name, createReport())
  world.nodes.append(createReport())
  update()
  reported = summary()
  const timer = setInterval(sendReport, beat)

  return {
    get nodes() {
      return [...nodes.keys()].sort()
    },
    get visitors() {
      return [...nodes.values()].reduce((sum, { visitors }) => sum + visitors, 0)
    },
    /** Whether this node does the work that only one node should do. For a moment, this may be true for two nodes, or for none. */
    get leads() {
      return [...nodes.keys()].every(node => name <= node)
    },
    count(now) {
      visitors = now
      sendReport()
    },
    /** The process of another node has ended, and could not report this. */
    end(node) {
      ends.set(node, Date.now())
      nodes.delete(node)
      update()
    },
    stop() {
      // Connections that end after this are not reported, because another report would add this node again.
      isOver = true
      clearInterval(timer)
      unsubscribe()
      world.nodes.append({ node: name })
    },
  }
}
