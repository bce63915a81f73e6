import { type Internals, internalsOf } from './internals.js'

export const requireArgument = ({ length }: ArrayLike<unknown>): void => {
  if (!length) throw new TypeError('1 argument required')
}

/** The native socket, if it can no longer send and no other will follow. */
const endedNative = ({ native, isPlain, socket: { state } }: Internals) =>
  native && native.readyState > 1 && (isPlain || state.name === 'closing' || state.name === 'closed')
    ? native
    : undefined

/** Recognized by its members: a page may have several realms, and in happy-dom and React Native a Blob has no tag. */
const isBinary = (data: any): boolean =>
  ArrayBuffer.isView(data) || ((data?.byteLength ?? data?.size) >= 0 && data.slice)

/** The members of the platform's class, and `socket`, `reconnect` and `handover`. In an object literal they are enumerable, as there. */
export const members = {
  get url(): string {
    return internalsOf(this).socket.url
  },
  get readyState(): number {
    const { readyState, socket, native } = internalsOf(this)
    const { name } = socket.state
    // The server may have started the closing handshake of an open connection. A connection that tabs share has no native socket here.
    const states: Record<string, number> = { open: native ? native.readyState : 1, closing: 2, closed: 3 }
    return readyState ?? states[name] ?? 0
  },
  get bufferedAmount(): number {
    const internals = internalsOf(this)
    return (endedNative(internals) ?? internals.socket).bufferedAmount
  },
  get protocol(): string {
    const { native, socket } = internalsOf(this)
    return (native ?? socket).protocol
  },
  get extensions(): string {
    return internalsOf(this).native?.extensions ?? ''
  },
  get binaryType(): BinaryType {
    return internalsOf(this).binaryType
  },
  // Other values are ignored. https://webidl.spec.whatwg.org/#dfn-attribute-setter
  set binaryType(value) {
    const internals = internalsOf(this)
    const type = `${value}` as BinaryType
    if (type === 'blob' || type === 'arraybuffer') internals.binaryType = type
    if (internals.native) internals.native.binaryType = internals.binaryType
  },
  get socket(): Internals['socket'] {
    return internalsOf(this).socket
  },
  addEventListener(...args: Parameters<EventTarget['addEventListener']>): void {
    const [type, listener, options] = args
    EventTarget.prototype.addEventListener.apply(this as any, args)
    const { listeners } = internalsOf(this)
    listeners[type] ??= new Set()
    listeners[type].add(options ? 0 : listener)
  },
  removeEventListener(...args: Parameters<EventTarget['removeEventListener']>): void {
    const [type, listener, options] = args
    EventTarget.prototype.removeEventListener.apply(this as any, args)
    if (!options) internalsOf(this).listeners[type]?.delete(listener)
  },
  send(data: any): void {
    // biome-ignore lint/complexity/noArguments: a missing argument is not the same as undefined
    requireArgument(arguments)
    const internals = internalsOf(this)
    // Before the arguments are looked at, this throws for another object, as on the platform.
    const { isPlain, socket } = internals
    // https://webidl.spec.whatwg.org/#es-union
    if (!isBinary(data)) data = `${data}`
    if (isPlain && !this.readyState) {
      throw new DOMException('send(): still CONNECTING', 'InvalidStateError')
    }
    // The message is lost, but counted. https://websockets.spec.whatwg.org/#dom-websocket-send
    endedNative(internals)?.send(data)
    socket.send(data)
  },
  close(...[code, reason]: [code?: number, reason?: string]): void {
    const internals = internalsOf(this)
    const { socket } = internals
    // Rounded to the nearest integer, half to even, as doubles are. https://webidl.spec.whatwg.org/#abstract-opdef-converttoint
    const number = code === undefined ? code : +code + 2 ** 52 - 2 ** 52
    socket.close(number, reason === undefined ? reason : `${reason}`)
    internals.isClosing = true
    // Inside a listener the state changes only after all listeners have run.
    if (this.readyState < 2) internals.readyState = 2
  },
  reconnect(cause?: unknown): void {
    internalsOf(this).socket.reconnect(cause)
  },
  handover(cause?: unknown): Promise<void> {
    return internalsOf(this).socket.handover(cause)
  },
}
