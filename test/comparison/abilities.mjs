// Features that only some of the libraries have.

// The libraries that accept a function for the URL, and whether it may return a promise, according to their documentation and types.
const URL_FUNCTIONS = {
  steadysocket: 'async',
  'steadysocket/websocket': 'async',
  'reconnecting-websocket': 'async',
  partysocket: 'async',
  '@nktkas/rews': 'async',
  'robust-websocket': 'sync',
  'websocket-ts': 'sync',
  'iso-websocket': 'sync',
}

/** Returns a URL function that counts its calls. Calls whose number is in `turns` fail as given there. All others return the URL. */
export const createUrlFunction = (peer, rig, turns) => {
  const kind = URL_FUNCTIONS[peer.name]
  if (!kind) rig.skip('does not accept a function')
  const getUrl = () => {
    const turn = turns[++getUrl.calls]
    if (!turn) return kind === 'async' ? Promise.resolve(rig.url) : rig.url
    if (kind === 'sync' && turn.sync) throw turn.error
    if (kind === 'sync') rig.skip('does not accept a promise')
    return turn.promise()
  }
  getUrl.calls = 0
  return getUrl
}

export const rejects = error => ({ sync: true, error, promise: () => Promise.reject(error) })
export const hangs = { promise: () => new Promise(() => {}) }
export const acceptsPromise = peer => URL_FUNCTIONS[peer.name] === 'async'

/** Whether the library reconnects without being configured. */
export const reconnectsByDefault = peer => !['websocket-ts', 'rxjs webSocket'].includes(peer.name)

/** Whether `binaryType` is an option of the constructor. In other libraries, it is a property, or does not exist. */
export const binaryTypeIsOption = peer => ['steadysocket', 'rxjs webSocket'].includes(peer.name)
