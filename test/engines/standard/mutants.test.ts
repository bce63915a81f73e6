// Proves that the suite can fail: adds one bug at a time to the class of the engine, and expects that a case detects it.
import { expect, test } from 'vitest'
import { startHandshakeServer } from '../../interop/handshake.ts'
import { freePort } from '../../support/ports.ts'
import { inEveryEngine } from '../rig.ts'
import { all } from './all.ts'
import { type CaseResult, source } from './context.ts'

/** Runs in a new worker. Modifies its class, or returns another one. */
type Mutation = (Base: any) => unknown

const mutants: Readonly<Record<string, readonly [caughtBy: string, mutation: Mutation]>> = {
  '`new` is optional': [
    'the constructor throws without `new`',
    Base => new Proxy(Base, { apply: (_, __, args) => new Base(...args) }),
  ],
  'the URL is optional': [
    'the constructor throws without a URL',
    Base =>
      class extends Base {
        constructor(url = '/') {
          super(url)
        }
      },
  ],
  'the length of the class is 2': [
    'the class is a function of length 1 named WebSocket',
    Base => {
      Object.defineProperty(Base, 'length', { value: 2 })
    },
  ],
  'an additional static member': [
    'the class has no other own properties',
    Base => {
      Base.version = 1
    },
  ],
  'an additional member': [
    'the prototype has exactly these own properties',
    Base => {
      Base.prototype.ping = () => {}
    },
  ],
  'an own property': [
    'an instance has no own properties',
    Base =>
      class extends Base {
        more = 1
      },
  ],
  'no Symbol.toStringTag': [
    'Object.prototype.toString() returns [object WebSocket]',
    Base => {
      delete Base.prototype[Symbol.toStringTag]
    },
  ],
  'constants only on the class': [
    'the constants are on the class, its prototype and its instances',
    Base =>
      new Proxy(Base, { get: (_, name) => (name === 'prototype' ? EventTarget.prototype : Base[name]) }),
  ],
  'constants that can be changed': [
    'the constants are enumerable, and cannot be changed or deleted',
    Base =>
      class extends Base {
        static CONNECTING = 0
        static OPEN = 1
        static CLOSING = 2
        static CLOSED = 3
      },
  ],
  'methods that are not enumerable': [
    'operations are methods of the prototype',
    Base => {
      Object.defineProperty(Base.prototype, 'close', { enumerable: false })
    },
  ],
  'a method that accepts any `this`': [
    'operations throw for a wrong `this`, before they convert their arguments',
    Base => {
      const { send } = Base.prototype
      Base.prototype.send = function (data: any) {
        if (this instanceof Base && this !== Base.prototype) send.call(this, data)
      }
    },
  ],
  'url is the string that was passed': [
    'url is the serialized parsed URL',
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
  'a fragment is removed': [
    'the constructor throws for a fragment, even an empty one',
    Base =>
      class extends Base {
        constructor(url: string) {
          super(`${url}`.replace(/#.*/, ''))
        }
      },
  ],
  'http: throws': [
    'the constructor converts http: to ws:, and https: to wss:',
    Base =>
      class extends Base {
        constructor(url: string) {
          if (url.startsWith('http')) throw new SyntaxError('no')
          super(url)
        }
      },
  ],
  'binaryType is initially arraybuffer': [
    'a new socket is connecting, and its attributes have their initial values',
    Base =>
      class extends Base {
        constructor(...args: any[]) {
          super(...args)
          ;(this as any).binaryType = 'arraybuffer'
        }
      },
  ],
  'null means no subprotocol': [
    'the constructor converts subprotocols to strings',
    Base =>
      class extends Base {
        constructor(url: string, names: any) {
          super(url, names ?? [])
        }
      },
  ],
  'subprotocols are converted to lower case': [
    'subprotocols are case-sensitive',
    Base =>
      class extends Base {
        constructor(url: string, names: any) {
          super(url, [...new Set([].concat(names).map((name: any) => name.toLowerCase()))])
        }
      },
  ],
  'protocol is always empty': [
    'protocol is the one that the server selected, from the open event on',
    Base =>
      class extends Base {
        get protocol() {
          return ''
        }
      },
  ],
  'no error event': [
    'a connection to a closed port',
    Base =>
      class extends Base {
        constructor(...args: any[]) {
          super(...args)
          ;(this as any).addEventListener('error', (event: Event) => event.stopImmediatePropagation())
        }
      },
  ],
  'wasClean is always true': [
    'a connection to a closed port',
    () => {
      Object.defineProperty(CloseEvent.prototype, 'wasClean', { value: true })
    },
  ],
  'message events have no origin': [
    'a message event has the origin of the server',
    () => {
      Object.defineProperty(MessageEvent.prototype, 'origin', { value: '' })
    },
  ],
  'event handlers accept any value': [
    'event handlers keep functions and other objects, and other values become null',
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
  'event handlers are called before listeners': [
    'an event handler that is replaced keeps its position among the listeners',
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
  'event handlers are called without `this`': [
    'an event handler is called with one event, and `this` is the socket',
    Base =>
      class extends Base {
        set onopen(value: any) {
          ;(this as any).addEventListener('open', (event: Event) => value.call(undefined, event))
        }
      },
  ],
  'message events are fired one task late': [
    'messages that the server sent before its close frame are received before the close event',
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
  'send() returns a value': [
    'send() returns undefined',
    Base =>
      class extends Base {
        send(data: any) {
          super.send(data)
          return true
        }
      },
  ],
  'send() without an argument does not throw': [
    'send() throws without an argument, in every state',
    Base =>
      class extends Base {
        send(data: any) {
          if (data !== undefined) super.send(data)
        }
      },
  ],
  'send() while connecting does not throw': [
    'send() throws while connecting, with any data',
    Base =>
      class extends Base {
        send(data: any) {
          if ((this as any).readyState) super.send(data)
        }
      },
  ],
  'the whole buffer of a view is sent': [
    'buffers and all kinds of views, with offsets and lengths',
    Base =>
      class extends Base {
        send(data: any) {
          super.send(ArrayBuffer.isView(data) ? data.buffer : data)
        }
      },
  ],
  'lone surrogates are removed': [
    'a lone surrogate in text is replaced',
    Base =>
      class extends Base {
        send(data: any) {
          super.send(data.replace(/[\ud800-\udfff]/g, ''))
        }
      },
  ],
  'a Blob is sent after later messages': [
    'text, buffers and Blobs arrive in the order of the calls',
    Base =>
      class extends Base {
        send(data: any) {
          data instanceof Blob ? data.arrayBuffer().then(bytes => super.send(bytes)) : super.send(data)
        }
      },
  ],
  'bufferedAmount is always 0': [
    'bufferedAmount grows at once by the number of UTF-8 bytes',
    Base => {
      Object.defineProperty(Base.prototype, 'bufferedAmount', { get: () => 0 })
    },
  ],
  'bufferedAmount counts characters': [
    'bufferedAmount grows at once by the number of UTF-8 bytes',
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
  'bufferedAmount does not grow after close()': [
    'bufferedAmount grows after close(), and does not fall any more',
    Base =>
      class extends Base {
        send(data: any) {
          if ((this as any).readyState < 2) super.send(data)
        }
      },
  ],
  'binaryType accepts any value': [
    'binaryType accepts only its two values',
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
  'close() accepts any code': [
    'close() throws for codes that a page may not send',
    Base =>
      class extends Base {
        close(code: any) {
          super.close(code === 1001 ? 1000 : code)
        }
      },
  ],
  'close() truncates long reasons': [
    'close() throws for a reason of more than 123 bytes',
    Base =>
      class extends Base {
        close(code: any, reason: any) {
          super.close(code, reason?.slice(0, 30))
        }
      },
  ],
  'close() omits the reason': [
    'close() sends its code and reason, and the close event reports them',
    Base =>
      class extends Base {
        close(code?: any) {
          code === undefined ? super.close() : super.close(code)
        }
      },
  ],
  'a second call of close() throws': [
    'only the first call of close() has an effect',
    Base =>
      class extends Base {
        close(...args: any[]) {
          if ((this as any).readyState > 1) throw new Error('closed')
          super.close(...args)
        }
      },
  ],
  'readyState is CONNECTING until the close event': [
    'close() while connecting fails the connection in a later task',
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
  'readyState is OPEN in the close event': [
    'close() in a close event has no effect',
    Base =>
      class extends Base {
        get readyState() {
          return Math.min(super.readyState, 1)
        }
      },
  ],
}

/** In the page: returns the results of one case without and with the mutation. */
async function compare(script: string, mutation: string, args: readonly unknown[]) {
  const results: string[] = []
  for (const change of ['Base => Base', mutation]) {
    const text = `const Own = (${change})(WebSocket); if (Own) self.WebSocket = Own
      importScripts(${JSON.stringify(script)})
      onmessage = async ({ data }) => postMessage(await runCases(...data))`
    const worker = new Worker(URL.createObjectURL(new Blob([text])))
    worker.postMessage(args)
    const caseResults = await new Promise<CaseResult[] | string>(resolve => {
      worker.onmessage = ({ data }) => resolve(data)
      worker.onerror = ({ message }) => resolve(message)
    })
    results.push(
      typeof caseResults === 'string' ? caseResults : JSON.stringify(caseResults.map(({ result }) => result)),
    )
    worker.terminate()
  }
  return results
}

inEveryEngine(rig => {
  test.each(Object.entries(mutants))(
    'the suite detects a WebSocket class with this bug: %s',
    async (_, [caughtBy, mutation]) => {
      const server = rig.keep(await startHandshakeServer())
      const script = rig.site.script('/standard.js', source(all))
      const page = await rig.open({ scripts: [] })
      const closed = `ws://127.0.0.1:${await freePort()}/`
      const args = [server.origin, closed, 'WebSocket', [caughtBy]]
      const [own, mutant] = await page.evaluate(compare, script, `${mutation}`, args)
      expect(all[caughtBy]?.standard).toEqual(JSON.parse(own ?? '')[0])
      expect(mutant).not.toBe(own)
    },
  )
}, 'chromium') // One engine is enough, because the cases are the same in all engines.
