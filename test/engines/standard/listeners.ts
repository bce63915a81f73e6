// The listeners and event handlers of an event, their order, and the event objects.
// https://websockets.spec.whatwg.org/#eventdef-websocket-open https://dom.spec.whatwg.org/#concept-event-dispatch
// https://html.spec.whatwg.org/multipage/webappapis.html#event-handler-attributes
import type { Cases } from './context.ts'

export const listeners: Cases = {
  'event handlers are initially null': {
    wpt: ['eventhandlers', 'interfaces/WebSocket/events/002'],
    run: u => {
      const { onopen, onmessage, onerror, onclose } = u.make(u.url())
      return [onopen, onmessage, onerror, onclose]
    },
    standard: [null, null, null, null],
  },
  'event handlers keep functions and other objects, and other values become null': {
    wpt: [
      'eventhandlers',
      'interfaces/WebSocket/events/003',
      'interfaces/WebSocket/events/010',
      'interfaces/WebSocket/events/011',
      'interfaces/WebSocket/events/012',
      'interfaces/WebSocket/events/013',
      'interfaces/WebSocket/events/014',
    ],
    run: u => {
      const socket = u.make(u.url()) as any
      const names = ['onopen', 'onmessage', 'onerror', 'onclose']
      const kept = [() => {}, async () => {}, {}, { handleEvent() {} }, [], class {}]
      const nothing = [null, undefined, 2, 0, ';', 'alert()', true, Symbol('a'), 1n]
      return names.map(name => [
        kept.every(value => {
          socket[name] = value
          return socket[name] === value
        }),
        nothing.every(value => {
          socket[name] = () => {}
          socket[name] = value
          return socket[name] === null
        }),
      ])
    },
    standard: Array(4).fill([true, true]),
  },
  'an event handler is called with one event, and `this` is the socket': {
    wpt: [
      'interfaces/WebSocket/events/004',
      'interfaces/WebSocket/events/006',
      'interfaces/WebSocket/events/007',
    ],
    run: async u => {
      const events: unknown[] = []
      const socket = u.make(u.url('?code=4000'))
      for (const name of ['onopen', 'onclose'] as const) {
        socket[name] = function (this: WebSocket, ...all: Event[]) {
          events.push([name, this === socket, all.length, all[0]?.type, all[0]?.target === socket])
        }
      }
      await u.eventsUntilClose(socket)
      return events
    },
    standard: [
      ['onopen', true, 1, 'open', true],
      ['onclose', true, 1, 'close', true],
    ],
  },
  'event handlers are called for events that the page dispatches': {
    wpt: [
      'interfaces/WebSocket/events/006',
      'interfaces/WebSocket/events/007',
      'interfaces/WebSocket/events/008',
      'interfaces/WebSocket/events/009',
    ],
    run: u => {
      const socket = u.make(u.url()) as any
      const events: unknown[] = []
      for (const type of ['open', 'message', 'error', 'close', 'other']) {
        socket[`on${type}`] = (event: CustomEvent) => events.push([event.type, event.detail])
        socket.dispatchEvent(new CustomEvent(type, { detail: 5 }))
        socket[`on${type}`] = null
      }
      return events
    },
    standard: [
      ['open', 5],
      ['message', 5],
      ['error', 5],
      ['close', 5],
    ],
  },
  'an event handler that returns false cancels the event, and no other return value does': {
    run: u => {
      const socket = u.make(u.url())
      return [false, true, undefined, 0, null].map(answer => {
        socket.onerror = socket.onmessage = () => answer
        return ['error', 'message'].map(type => socket.dispatchEvent(new Event(type, { cancelable: true })))
      })
    },
    standard: [[false, false], ...Array(4).fill([true, true])],
  },
  'an object that is not callable is ignored as an event handler': {
    run: async u => {
      const events: string[] = []
      const socket = u.make(u.url())
      socket.onopen = { handleEvent: () => events.push('handled') } as any
      socket.addEventListener('open', () => events.push('listener'))
      await u.next(socket, 'open')
      return events
    },
    standard: ['listener'],
  },
  'an event handler that is replaced keeps its position among the listeners': {
    wpt: ['interfaces/WebSocket/events/016', 'interfaces/WebSocket/events/019'],
    run: async u => {
      const events: string[] = []
      const socket = u.make(u.url('?text=a'))
      const done = u.eventsUntilClose(socket)
      for (const type of ['open', 'message', 'close'] as const) {
        socket.addEventListener(type, () => events.push(`${type} 1`))
        ;(socket as any)[`on${type}`] = () => events.push('replaced')
        socket.addEventListener(type, () => events.push(`${type} 3`))
        ;(socket as any)[`on${type}`] = () => events.push(`${type} 2`)
      }
      socket.addEventListener('message', () => socket.close())
      await done
      return events
    },
    standard: [
      'open 1',
      'open 2',
      'open 3',
      'message 1',
      'message 2',
      'message 3',
      'close 1',
      'close 2',
      'close 3',
    ],
  },
  'an event handler that was removed is added at the end': {
    run: u => {
      const events: number[] = []
      const socket = u.make(u.url())
      socket.onopen = () => events.push(1)
      socket.addEventListener('open', () => events.push(2))
      socket.onopen = null
      socket.onopen = () => events.push(3)
      socket.dispatchEvent(new Event('open'))
      return events
    },
    standard: [2, 3],
  },
  'the value of an event handler is read when it is called': {
    run: u => {
      const events: string[] = []
      const socket = u.make(u.url())
      socket.addEventListener('open', () => {
        socket.onopen = () => events.push('new')
      })
      socket.onopen = () => events.push('old')
      socket.dispatchEvent(new Event('open'))
      socket.addEventListener('close', () => {
        socket.onclose = null
      })
      socket.onclose = () => events.push('close')
      socket.dispatchEvent(new Event('close'))
      return events
    },
    standard: ['new'],
  },
  'a function that is both event handler and listener is called twice': {
    run: u => {
      let calls = 0
      const count = () => calls++
      const socket = u.make(u.url())
      socket.onopen = count
      socket.addEventListener('open', count)
      socket.addEventListener('open', count)
      socket.dispatchEvent(new Event('open'))
      socket.removeEventListener('open', count)
      socket.dispatchEvent(new Event('open'))
      return calls
    },
    standard: 3,
  },
  'a listener is added once, and once more for capture': {
    run: async u => {
      let calls = 0
      const count = () => calls++
      const socket = u.make(u.url())
      socket.addEventListener('open', count)
      socket.addEventListener('open', count, { once: true })
      socket.addEventListener('open', count, true)
      socket.addEventListener('open', count, { capture: true, passive: true })
      await u.next(socket, 'open')
      return calls
    },
    standard: 2,
  },
  'capturing listeners are called first': {
    run: async u => {
      const events: string[] = []
      const socket = u.make(u.url())
      socket.addEventListener('open', () => events.push('listener'))
      socket.onopen = () => events.push('handler')
      socket.addEventListener('open', () => events.push('captures'), true)
      await u.next(socket, 'open')
      return events
    },
    standard: ['captures', 'listener', 'handler'],
  },
  'listeners with once or signal, and removed listeners': {
    run: async u => {
      const events: string[] = []
      const controller = new AbortController()
      const socket = await u.open()
      const removed = () => events.push('removed')
      socket.addEventListener('message', () => events.push('once'), { once: true })
      socket.addEventListener('message', () => events.push('signal'), { signal: controller.signal })
      socket.addEventListener('message', () => events.push('aborted'), { signal: AbortSignal.abort() })
      socket.addEventListener('message', removed)
      socket.removeEventListener('message', removed, true)
      for (const text of ['1', '2', '3']) {
        socket.send(text)
        await u.next(socket, 'message')
        events.push(text)
        if (text === '2') {
          controller.abort()
          socket.removeEventListener('message', removed)
        }
      }
      return events
    },
    standard: ['once', 'signal', 'removed', '1', 'signal', 'removed', '2', '3'],
  },
  'a listener object is called through its current handleEvent': {
    run: async u => {
      const events: unknown[] = []
      const socket = u.make(u.url())
      const listener = { name: 'object' } as any
      socket.addEventListener('open', listener)
      listener.handleEvent = function (this: any, event: Event) {
        events.push([this.name, event.type])
      }
      await u.next(socket, 'open')
      return events
    },
    standard: [['object', 'open']],
  },
  'listeners that are removed or added during dispatch': {
    run: async u => {
      const events: string[] = []
      const socket = u.make(u.url())
      const second = () => events.push('second')
      socket.addEventListener('open', () => {
        events.push('first')
        socket.removeEventListener('open', second)
        socket.addEventListener('open', () => events.push('late'))
      })
      socket.addEventListener('open', second)
      socket.addEventListener('open', () => events.push('third'))
      await u.next(socket, 'open')
      return events
    },
    standard: ['first', 'third'],
  },
  'stopImmediatePropagation() stops an event': {
    run: async u => {
      const events: string[] = []
      const socket = u.make(u.url('?code=4000'))
      const closed = u.next(socket, 'close')
      socket.addEventListener('open', event => {
        events.push('first')
        event.stopPropagation()
      })
      socket.addEventListener('open', event => {
        events.push('second')
        event.stopImmediatePropagation()
      })
      socket.onopen = () => events.push('handler')
      await closed
      return events
    },
    standard: ['first', 'second'],
  },
  'null is ignored as a listener, and other values throw': {
    run: u => {
      const socket = u.make(u.url()) as any
      return [null, undefined, {}, 1, 'a'].map(listener =>
        u.thrown(() => socket.addEventListener('open', listener)),
      )
    },
    standard: ['nothing', 'nothing', 'nothing', 'TypeError', 'TypeError'],
  },
  'dispatchEvent() works as with any event target': {
    run: u => {
      const socket = u.make(u.url()) as any
      const event = new Event('open', { cancelable: true })
      const nested: string[] = []
      socket.onopen = () => nested.push(u.thrown(() => socket.dispatchEvent(event)))
      const result = socket.dispatchEvent(event)
      return [
        result,
        nested,
        u.thrown(() => socket.dispatchEvent({})),
        u.thrown(() => socket.dispatchEvent()),
      ]
    },
    standard: [true, ['DOMException InvalidStateError 11'], 'TypeError', 'TypeError'],
  },
  'an error thrown by a listener is reported, and the other listeners are called': {
    run: async u => {
      const socket = u.make(u.url('?text=a&code=4000'))
      const fail = (message: string) => () => {
        throw new Error(message)
      }
      socket.addEventListener('open', fail('listener'))
      socket.onopen = fail('handler')
      socket.addEventListener('message', { handleEvent: fail('object') })
      const events = await u.eventsUntilClose(socket)
      return [u.uncaught.splice(0), events]
    },
    standard: [
      ['listener', 'handler', 'object'],
      ['open 1', 'message 1 a', 'close 3 4000 clean'],
    ],
  },
  'microtasks run between two listeners': {
    run: async u => {
      const events: string[] = []
      const socket = u.make(u.url())
      socket.addEventListener('open', () => {
        events.push('first')
        Promise.resolve().then(() => events.push('microtask'))
      })
      socket.addEventListener('open', () => events.push('second'))
      await u.next(socket, 'open')
      return events
    },
    standard: ['first', 'microtask', 'second'],
    differs: { all: 'dispatches during the dispatch of another event' },
  },
  'each message event has its own task': {
    run: async u => {
      const events: string[] = []
      const socket = u.make(u.url('?text=1&text=2&text=3&glued'))
      await new Promise<void>(resolve => {
        socket.onopen = () => queueMicrotask(() => events.push('after open'))
        socket.onmessage = ({ data }) => {
          events.push(data)
          queueMicrotask(() => events.push(`after ${data}`))
          if (data === '3') resolve()
        }
      })
      return events
    },
    standard: ['after open', '1', 'after 1', '2', 'after 2', '3', 'after 3'],
  },
  'all listeners get the same event, and afterwards its dispatch has ended': {
    run: async u => {
      const events: Event[] = []
      const facts: unknown[] = []
      const socket = u.make(u.url())
      const hear = (event: Event) => {
        events.push(event)
        facts.push(event.target === socket, event.currentTarget === socket, event.eventPhase)
        facts.push(event.composedPath().length, event.composedPath()[0] === socket)
      }
      socket.onopen = hear
      socket.addEventListener('open', hear)
      await u.next(socket, 'open')
      await u.task()
      const [first, second] = events
      return [
        first === second,
        facts,
        [first?.target === socket, first?.currentTarget, first?.eventPhase, first?.composedPath().length],
      ]
    },
    standard: [true, [true, true, 2, 1, true, true, true, 2, 1, true], [true, null, 0, 0]],
  },
  'open and error events are plain events': {
    wpt: [
      'interfaces/WebSocket/events/015',
      'interfaces/WebSocket/events/017',
      'interfaces/WebSocket/events/018',
      'interfaces/WebSocket/events/020',
    ],
    run: async u => {
      const socket = u.make(await u.urlOfNewPort('?when=message&hex=8300'))
      socket.onopen = () => socket.send('go')
      const facts: unknown[] = []
      for (const type of ['open', 'error'] as const) {
        socket.addEventListener(type, event => {
          const { bubbles, cancelable, composed, defaultPrevented, returnValue } = event
          const plain = Object.getPrototypeOf(event) === Event.prototype
          facts.push([String(event), plain, bubbles, cancelable, composed, defaultPrevented, returnValue])
        })
      }
      await u.next(socket, 'close')
      return facts
    },
    standard: Array(2).fill(['[object Event]', true, false, false, false, false, true]),
  },
  'a message event has the origin of the server': {
    wpt: [
      'interfaces/WebSocket/events/015',
      'interfaces/WebSocket/events/017',
      'interfaces/WebSocket/events/018',
    ],
    run: async u => {
      const url = u.url('?text=hello')
      const event = await u.next(u.make(url), 'message')
      const { bubbles, cancelable, composed, lastEventId, source, ports, data } = event
      return {
        is: String(event),
        plain: Object.getPrototypeOf(event) === MessageEvent.prototype,
        origin: event.origin === new URL(url).origin,
        ports: [Array.isArray(ports), ports.length, Object.isFrozen(ports), event.ports === ports],
        rest: { bubbles, cancelable, composed, lastEventId, source, data },
      }
    },
    standard: {
      is: '[object MessageEvent]',
      plain: true,
      origin: true,
      ports: [true, 0, true, true],
      rest: {
        bubbles: false,
        cancelable: false,
        composed: false,
        lastEventId: '',
        source: null,
        data: 'hello',
      },
    },
  },
  'the origin of a message has no path and no credentials': {
    run: async u => {
      const url = u.url('?text=hello').replace('//', '//LOCALHOST/').replace('LOCALHOST/', '')
      const { origin } = await u.next(u.make(url), 'message')
      return origin === u.url().replace(/\/$/, '')
    },
    standard: true,
  },
  'a close event has code, reason and wasClean': {
    wpt: [
      'interfaces/CloseEvent/clean-close',
      'interfaces/WebSocket/events/015',
      'interfaces/WebSocket/events/017',
      'interfaces/WebSocket/events/018',
    ],
    run: async u => {
      const event = await u.next(u.make(u.url('?code=4321&reason=bye')), 'close')
      const { bubbles, cancelable, composed, code, reason, wasClean } = event
      return {
        is: String(event),
        plain: Object.getPrototypeOf(event) === CloseEvent.prototype,
        rest: { bubbles, cancelable, composed, code, reason, wasClean },
      }
    },
    standard: {
      is: '[object CloseEvent]',
      plain: true,
      rest: { bubbles: false, cancelable: false, composed: false, code: 4321, reason: 'bye', wasClean: true },
    },
  },
  'events have a timestamp': {
    run: async u => {
      const socket = u.make(u.url('?text=a&code=4000'))
      const stamps = [performance.now()]
      for (const type of ['open', 'message', 'close']) {
        socket.addEventListener(type, ({ timeStamp }) => stamps.push(timeStamp))
      }
      await u.next(socket, 'close')
      stamps.push(performance.now())
      return stamps.every((stamp, i) => i === 0 || stamp >= (stamps[i - 1] ?? 0) - 2)
    },
    standard: true,
  },
}
