import { createEmitter, type SendOptions, type Socket } from '../index.js'
import { createSendCall } from './call.js'
import { checkFunction, checkOptions } from './checks.js'
import { createEncode } from './encode.js'
import { CallError } from './errors.js'
import { createHandlers, type Handler } from './handlers.js'
import { createLink } from './link.js'
import type { CallProtocol } from './protocol.js'
import { type ContractEntry, validate } from './schema.js'
import type {
  CallOptions,
  CallSocket,
  Calls,
  CallsEvents,
  CallsOptions,
  Contract,
  SocketSource,
  SubscribeOptions,
} from './types.js'

/**
 * Calls, subscriptions and handlers over a socket, in the protocol of the server.
 *
 * ```ts
 * const api = calls(prepare => createSocket('wss://push.example.com/rpc', { prepare }), jsonRpc())
 * const order = await api.call('order.place', { qty: 3 })
 * const stop = api.subscribe('news', undefined, (item, { gap }) => show(item, gap))
 * api.handle('confirm', question => window.confirm(String(question)))
 * ```
 *
 * It reads every text message of the socket and, with a codec, every binary message. The socket needs the part `delivery` of the core. If the
 * first argument is a function, it creates the socket with the option `prepare`, so that subscriptions are sent before the socket is open. If the
 * first argument is a socket, they are sent after `open`, behind the queued messages. Throws a `TypeError` for invalid options, and without a
 * protocol.
 */
export const calls: {
  <All extends Contract = Contract>(
    source: SocketSource<Socket<'arraybuffer' | 'blob'>>,
    protocol: CallProtocol,
    options?: CallsOptions<All>,
  ): Calls<All>
  <All extends Contract = Contract>(
    source: SocketSource<CallSocket>,
    protocol: CallProtocol,
    options?: CallsOptions<All>,
  ): Calls<All, CallSocket>
} = (source: SocketSource<any>, protocol: CallProtocol, options: CallsOptions<any> = {}): Calls<any, any> => {
  checkOptions('calls', options, [
    'contract',
    'codec',
    'timeout',
    'again',
    'maxCalls',
    'maxBytes',
    'maxSubscriptions',
  ])
  if (!protocol?.read) throw new TypeError('calls() needs a protocol, such as jsonRpc()')
  const { contract, codec, maxCalls = 1_000, maxBytes = 2 ** 24, maxSubscriptions = 1_000 } = options
  const { on, off, emit } = createEmitter<CallsEvents>(['error'])
  // A map, because a plain object inherits names such as `constructor`.
  const entries = new Map<string, ContractEntry>(Object.entries(contract ?? {}))
  let lastId = 0

  const nextId = () => ++lastId
  const tell = (error: unknown) =>
    emit('error', error instanceof CallError ? error : new CallError('MALFORMED', error))

  const entryOf = (name: string) => {
    if (contract && !entries.has(name)) throw new TypeError(`The contract has no '${name}'`)
    return entries.get(name)
  }

  const encode = createEncode(codec)
  const [handle, answer, hasHandlers] = createHandlers(entries, encode, maxCalls, tell)
  const [socket, subscribe, addRequest, cancelRequest] = createLink(
    source,
    protocol,
    codec,
    maxSubscriptions,
    nextId,
    encode,
    answer,
    hasHandlers,
    tell,
  )
  const sendCall = createSendCall(addRequest, cancelRequest, socket.send, maxCalls, maxBytes, options)

  return {
    async call(name: string, params?: unknown, how: CallOptions = {}) {
      checkOptions('call', how, ['timeout', 'again', 'signal'])
      const entry = entryOf(name)
      validate(entry?.params, params, 'NOT_SENT')
      const id = nextId()
      return validate(entry?.result, await sendCall(id, encode(protocol.call(id, name, params)), how))
    },

    notify(name: string, params?: unknown, how?: SendOptions) {
      validate(entryOf(name)?.params, params, 'NOT_SENT')
      return socket.send(encode(protocol.call(undefined, name, params)), how)
    },

    subscribe(name: string, params: unknown, listener: any, how: SubscribeOptions = {}) {
      checkOptions('subscribe', how, ['key', 'onEnd'])
      checkFunction(name, listener)
      return subscribe(name, params, listener, how, entryOf(name))
    },

    handle(name: string, handler: Handler) {
      entryOf(name)
      checkFunction(name, handler)
      return handle(name, handler)
    },

    on,
    off,
    socket,
  } as Calls<any, any>
}
