// The suite can fail: the engine's own class with one thing wrong at a time, and the case that must notice.
import { expect, test } from 'vitest'
import { startHandshakeServer } from '../../interop/handshake.ts'
import { freePort } from '../../support/ports.ts'
import { inEveryEngine } from '../rig.ts'
import { all } from './all.ts'
import { source, type Verdict } from './under.ts'

/** Runs in a worker of its own, on its class; returns another class or spoils that one. */
type Mutation = (Base: any) => unknown

const mutants: Readonly<Record<string, readonly [caughtBy: string, mutation: Mutation]>> = {
  'no `new` needed': ['needs `new`', Base => new Proxy(Base, { apply: (_, __, args) => new Base(...args) })],
  'no address needed': [
    'needs an address',
    Base =>
      class extends Base {
        constructor(url = '/') {
          super(url)
        }
      },
  ],
  'a class of length 2': [
    'the class is a function of length 1 named WebSocket',
    Base => {
      Object.defineProperty(Base, 'length', { value: 2 })
    },
  ],
  'one more static member': [
    'the class has nothing more of its own',
    Base => {
      Base.version = 1
    },
  ],
  'one more member': [
    'the prototype has these properties of its own',
    Base => {
      Base.prototype.ping = () => {}
    },
  ],
  'a property of its own': [
    'an instance has nothing of its own',
    Base =>
      class extends Base {
        more = 1
      },
  ],
  'no name': [
    'says what it is',
    Base => {
      delete Base.prototype[Symbol.toStringTag]
    },
  ],
  'constants on the class alone': [
    'constants are on the class, its prototype and its instances',
    Base =>
      new Proxy(Base, { get: (_, name) => (name === 'prototype' ? EventTarget.prototype : Base[name]) }),
  ],
  'constants that can be changed': [
    'constants can be listed, and neither changed nor deleted',
    Base =>
      class extends Base {
        static CONNECTING = 0
        static OPEN = 1
        static CLOSING = 2
        static CLOSED = 3
      },
  ],
  'methods that cannot be listed': [
    'operations are methods of the prototype',
    Base => {
      Object.defineProperty(Base.prototype, 'close', { enumerable: false })
    },
  ],
  'a method that takes any `this`': [
    'operations throw for a wrong `this`, before they look at their arguments',
    Base => {
      const { send } = Base.prototype
      Base.prototype.send = function (data: any) {
        if (this instanceof Base && this !== Base.prototype) send.call(this, data)
      }
    },
  ],
  'the address as it was given': [
    'says its address as it was parsed',
    Base =>
      class extends Base {
        given: string
        constructor(url: string) {
          super(url)
          this.given = url
        }
        get url() {
          return this.given
        }
      },
  ],
  'a fragment cut off': [
    'refuses fragments, the empty one too',
    Base =>
      class extends Base {
        constructor(url: string) {
          super(`${url}`.replace(/#.*/, ''))
        }
      },
  ],
  'http: refused': [
    'takes http: for ws:, and https: for wss:',
    Base =>
      class extends Base {
        constructor(url: string) {
          if (url.startsWith('http')) throw new SyntaxError('no')
          super(url)
        }
      },
  ],
  'arraybuffer at first': [
    'is connecting when it is new, and has nothing yet',
    Base =>
      class extends Base {
        constructor(...args: any[]) {
          super(...args)
          ;(this as any).binaryType = 'arraybuffer'
        }
      },
  ],
  'null for no subprotocol': [
    'makes strings of names',
    Base =>
      class extends Base {
        constructor(url: string, names: any) {
          super(url, names ?? [])
        }
      },
  ],
  'subprotocols in lower case': [
    'names in another case are other names',
    Base =>
      class extends Base {
        constructor(url: string, names: any) {
          super(url, [...new Set([].concat(names).map((name: any) => name.toLowerCase()))])
        }
      },
  ],
  'never a subprotocol': [
    'is the one that the server chose, from `open` until after `close`',
    Base =>
      class extends Base {
        get protocol() {
          return ''
        }
      },
  ],
  'no error event': [
    'nobody listens there',
    Base =>
      class extends Base {
        constructor(...args: any[]) {
          super(...args)
          ;(this as any).addEventListener('error', (event: Event) => event.stopImmediatePropagation())
        }
      },
  ],
  'always clean': [
    'nobody listens there',
    () => {
      Object.defineProperty(CloseEvent.prototype, 'wasClean', { value: true })
    },
  ],
  'messages from nowhere': [
    'a message event says where it is from',
    () => {
      Object.defineProperty(MessageEvent.prototype, 'origin', { value: '' })
    },
  ],
  'handlers of any kind': [
    'handlers are what they are set to, if that is a function or another object',
    Base =>
      class extends Base {
        handler: any = null
        get onopen() {
          return this.handler
        }
        set onopen(value) {
          this.handler = value
        }
      },
  ],
  'handlers before listeners': [
    'a handler keeps its place among the listeners',
    Base =>
      class extends Base {
        first: any
        constructor(...args: any[]) {
          super(...args)
          ;(this as any).addEventListener('open', (event: Event) => this.first?.(event))
        }
        set onopen(value: any) {
          this.first = value
        }
      },
  ],
  'handlers without `this`': [
    'a handler is called with one event, its `this` is the socket',
    Base =>
      class extends Base {
        set onopen(value: any) {
          ;(this as any).addEventListener('open', (event: Event) => value.call(undefined, event))
        }
      },
  ],
  'messages a task late': [
    'what the server sent before it closed is heard before',
    Base =>
      class extends Base {
        constructor(...args: any[]) {
          super(...args)
          const self = this as any
          self.addEventListener('message', (event: MessageEvent) => {
            if (!event.isTrusted) return
            event.stopImmediatePropagation()
            setTimeout(() => self.dispatchEvent(new MessageEvent('message', { data: event.data })), 20)
          })
        }
      },
  ],
  'send says whether it did': [
    'send returns nothing',
    Base =>
      class extends Base {
        send(data: any) {
          super.send(data)
          return true
        }
      },
  ],
  'send sends nothing where it is given nothing': [
    'send needs an argument, in every state',
    Base =>
      class extends Base {
        send(data: any) {
          if (data !== undefined) super.send(data)
        }
      },
  ],
  'send waits for the connection': [
    'send throws while it connects, whatever it is given',
    Base =>
      class extends Base {
        send(data: any) {
          if ((this as any).readyState) super.send(data)
        }
      },
  ],
  'the whole buffer of a view': [
    'buffers and every kind of view, with offsets and lengths',
    Base =>
      class extends Base {
        send(data: any) {
          super.send(ArrayBuffer.isView(data) ? data.buffer : data)
        }
      },
  ],
  'half a surrogate pair left out': [
    'half of a surrogate pair is replaced',
    Base =>
      class extends Base {
        send(data: any) {
          super.send(data.replace(/[\ud800-\udfff]/g, ''))
        }
      },
  ],
  'a Blob after what is sent later': [
    'keeps the order of text, buffers and Blobs',
    Base =>
      class extends Base {
        send(data: any) {
          data instanceof Blob ? data.arrayBuffer().then(bytes => super.send(bytes)) : super.send(data)
        }
      },
  ],
  'never anything buffered': [
    'bufferedAmount counts at once, in bytes of UTF-8',
    Base => {
      Object.defineProperty(Base.prototype, 'bufferedAmount', { get: () => 0 })
    },
  ],
  'characters for bytes': [
    'bufferedAmount counts at once, in bytes of UTF-8',
    Base =>
      class extends Base {
        sum = 0
        get bufferedAmount() {
          return this.sum
        }
        send(data: any) {
          super.send(data)
          this.sum += `${data}`.length
        }
      },
  ],
  'nothing counted after close()': [
    'bufferedAmount grows after close(), and never falls again',
    Base =>
      class extends Base {
        send(data: any) {
          if ((this as any).readyState < 2) super.send(data)
        }
      },
  ],
  'any binaryType': [
    'binaryType takes its two values and no other',
    Base =>
      class extends Base {
        type: any = 'blob'
        get binaryType() {
          return this.type
        }
        set binaryType(value) {
          this.type = value
        }
      },
  ],
  'any code': [
    'close refuses codes that are not for the page',
    Base =>
      class extends Base {
        close(code: any) {
          super.close(code === 1001 ? 1000 : code)
        }
      },
  ],
  'long reasons cut off': [
    'close refuses more than 123 bytes of reason',
    Base =>
      class extends Base {
        close(code: any, reason: any) {
          super.close(code, reason?.slice(0, 30))
        }
      },
  ],
  'the reason forgotten': [
    'close sends its code and reason, and hears them back',
    Base =>
      class extends Base {
        close(code?: any) {
          code === undefined ? super.close() : super.close(code)
        }
      },
  ],
  'a second close() that throws': [
    'the first close counts',
    Base =>
      class extends Base {
        close(...args: any[]) {
          if ((this as any).readyState > 1) throw new Error('closed')
          super.close(...args)
        }
      },
  ],
  'connecting until it is closed': [
    'close while it connects fails the connection, in a later task',
    Base =>
      class extends Base {
        get readyState() {
          const { readyState } = Object.getOwnPropertyDescriptor(Base.prototype, 'readyState')?.get
            ? { readyState: super.readyState }
            : { readyState: 0 }
          return readyState === 2 ? 0 : readyState
        }
      },
  ],
  'still open in its close event': [
    'close in its own close event does nothing',
    Base =>
      class extends Base {
        get readyState() {
          return Math.min(super.readyState, 1)
        }
      },
  ],
}

/** In the page: the results of one case, with and without the mutation. */
async function compare(script: string, mutation: string, args: readonly unknown[]) {
  const results: string[] = []
  for (const change of ['Base => Base', mutation]) {
    const text = `const Own = (${change})(WebSocket); if (Own) self.WebSocket = Own
      importScripts(${JSON.stringify(script)})
      onmessage = async ({ data }) => postMessage(await perform(...data))`
    const worker = new Worker(URL.createObjectURL(new Blob([text])))
    worker.postMessage(args)
    const verdicts = await new Promise<Verdict[] | string>(resolve => {
      worker.onmessage = ({ data }) => resolve(data)
      worker.onerror = ({ message }) => resolve(message)
    })
    results.push(
      typeof verdicts === 'string' ? verdicts : JSON.stringify(verdicts.map(({ result }) => result)),
    )
    worker.terminate()
  }
  return results
}

inEveryEngine(rig => {
  test.each(Object.entries(mutants))('%s is noticed', async (_, [caughtBy, mutation]) => {
    const server = rig.keep(await startHandshakeServer())
    const script = rig.site.script('/standard.js', source(all))
    const page = await rig.open({ scripts: [] })
    const closed = `ws://127.0.0.1:${await freePort()}/`
    const args = [server.origin, closed, 'WebSocket', [caughtBy]]
    const [own, mutant] = await page.evaluate(compare, script, `${mutation}`, args)
    expect(all[caughtBy]?.standard).toEqual(JSON.parse(own ?? '')[0])
    expect(mutant).not.toBe(own)
  })
}, 'chromium') // The cases are the same in all engines, and so is what they can notice.
