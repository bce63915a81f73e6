// The clients of Redis that the store accepts, behind one interface.

/** The methods of a second connection to Redis that the store calls. */
export interface RedisSubscriber {
  connect(): Promise<unknown>
  subscribe(channel: string, listener: (message: string) => unknown): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  destroy(): unknown
}

/** The methods of `createClient()` of the `redis` package that the store calls. */
export interface RedisClient {
  sendCommand(args: string[]): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  duplicate(): RedisSubscriber
}

/** The methods of `createCluster()` of the `redis` package that the store calls. */
export interface RedisClusterClient {
  sendCommand(firstKey: string, isReadonly: boolean, args: string[]): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  duplicate(): RedisSubscriber
  getNodeClientForKey(
    key: string,
    isReadonly: boolean,
  ): Promise<{ sendCommand(args: string[]): Promise<unknown> }>
}

/** The methods of `createSentinel()` of the `redis` package that the store calls. */
export interface RedisSentinelClient {
  sendCommand(isReadonly: boolean, args: string[]): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  duplicate(): RedisSubscriber
  getSentinelNode(): unknown
}

/** The methods of a second connection of `ioredis` that the store calls. */
export interface IoRedisSubscriber {
  subscribe(channel: string): Promise<unknown>
  on(event: string, listener: (...args: any[]) => void): unknown
  disconnect(): void
}

/** The methods of `new Redis()` or `new Cluster()` of the `ioredis` package that the store calls. */
export interface IoRedisClient {
  readonly isCluster: boolean
  call(command: string, ...args: string[]): Promise<unknown>
  on(event: string, listener: (...args: any[]) => void): unknown
  duplicate(): IoRedisSubscriber
}

/** A connected client of the `redis` or the `ioredis` package: of one Redis, under Sentinel, or of a Cluster. */
export type AnyRedisClient = RedisClient | RedisClusterClient | RedisSentinelClient | IoRedisClient

/** A connection to Redis, independent of the client package. */
export interface RedisLink {
  /** All keys of the store must be in one slot. */
  readonly isCluster: boolean
  /** Resolves with a function that sends every command over the connection to where this key is. Absent if there is no such connection. */
  readonly pin: ((key: string) => Promise<(args: string[]) => Promise<unknown>>) | undefined
  /** `key`: any key of the store, which decides where the command goes. */
  send(key: string, args: string[]): Promise<unknown>
  /** Resolves with a function that stops this. `onReconnect` is called when messages may have been missed. */
  subscribe(
    channel: string,
    onMessage: (text: string) => void,
    onReconnect: () => void,
  ): Promise<() => unknown>
}

const ignore = (): void => {}

const subscribe =
  (client: { duplicate(): RedisSubscriber }): RedisLink['subscribe'] =>
  async (channel, onMessage, onReconnect) => {
    const subscriber = client.duplicate()
    // It reconnects by itself.
    subscriber.on('error', ignore)
    await subscriber.connect()
    try {
      await subscriber.subscribe(channel, onMessage)
    } catch (error) {
      subscriber.destroy()
      throw error
    }
    ;(subscriber as { on(event: string, listener: () => void): unknown }).on('ready', onReconnect)
    return () => subscriber.destroy()
  }

const ioSubscribe =
  (client: IoRedisClient): RedisLink['subscribe'] =>
  async (channel, onMessage, onReconnect) => {
    const subscriber = client.duplicate()
    subscriber.on('error', ignore)
    subscriber.on('message', (_channel: string, text: string) => onMessage(text))
    try {
      await subscriber.subscribe(channel)
    } catch (error) {
      subscriber.disconnect()
      throw error
    }
    subscriber.on('ready', onReconnect)
    return () => subscriber.disconnect()
  }

const guarded = new WeakSet<AnyRedisClient>()

/** Without a listener, the first lost connection to Redis would end the process. Errors that matter are those of the commands. */
const guardErrors = (client: AnyRedisClient): void => {
  if (guarded.has(client)) return
  guarded.add(client)
  ;(client as { on(event: 'error', listener: () => void): unknown }).on('error', ignore)
}

export const linkTo = (client: AnyRedisClient): RedisLink => {
  guardErrors(client)
  if ('call' in client) {
    const send = ([command = '', ...args]: string[]) => client.call(command, ...args)
    return {
      isCluster: client.isCluster,
      pin: client.isCluster ? undefined : async () => send,
      send: (_key, args) => send(args),
      subscribe: ioSubscribe(client),
    }
  }
  if ('getNodeClientForKey' in client) {
    return {
      isCluster: true,
      async pin(key) {
        const node = await client.getNodeClientForKey(key, false)
        return args => node.sendCommand(args)
      },
      send: (key, args) => client.sendCommand(key, false, args),
      subscribe: subscribe(client),
    }
  }
  const send = (args: string[]) =>
    'getSentinelNode' in client ? client.sendCommand(false, args) : client.sendCommand(args)
  return {
    isCluster: false,
    pin: async () => send,
    send: (_key, args) => send(args),
    subscribe: subscribe(client),
  }
}
