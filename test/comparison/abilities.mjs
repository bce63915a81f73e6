// What some of the peers can do and others cannot.

// Which take a function for the URL, and whether it may return a promise: from their documents and types.
const ASKS = {
  steadysocket: 'async',
  'steadysocket/websocket': 'async',
  'reconnecting-websocket': 'async',
  partysocket: 'async',
  '@nktkas/rews': 'async',
  'robust-websocket': 'sync',
  'websocket-ts': 'sync',
  'iso-websocket': 'sync',
}

/** A URL function that does `then` at the call of that number, and answers the address at all others. Counts its calls. */
export const askFor = (peer, rig, turns) => {
  const kind = ASKS[peer.name]
  if (!kind) rig.skip('takes no function')
  const ask = () => {
    const turn = turns[++ask.calls]
    if (!turn) return kind === 'async' ? Promise.resolve(rig.url) : rig.url
    if (kind === 'sync' && turn.sync) throw turn.error
    if (kind === 'sync') rig.skip('takes no promise')
    return turn.promise()
  }
  ask.calls = 0
  return ask
}

export const rejects = error => ({ sync: true, error, promise: () => Promise.reject(error) })
export const hangs = { promise: () => new Promise(() => {}) }
export const asksForPromises = peer => ASKS[peer.name] === 'async'

/** Reconnect only if they are told how: by default there is nothing to stop. */
export const reconnectsByDefault = peer => !['websocket-ts', 'rxjs webSocket'].includes(peer.name)

/** Where `binaryType` is said when the socket is made. Elsewhere it is a property, as on the platform, or not there at all. */
export const binaryTypeIsOption = peer => ['steadysocket', 'rxjs webSocket'].includes(peer.name)
