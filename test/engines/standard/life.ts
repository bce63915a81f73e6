// What happens to a socket when its document or worker ends.
// https://websockets.spec.whatwg.org/#garbage-collection https://html.spec.whatwg.org/multipage/#unloading-document-cleanup-steps
import type { Cases } from './context.ts'

export const life: Cases = {
  'removing a frame closes its sockets': {
    wpt: ['unload-a-document/001', 'unload-a-document/002', 'unload-a-document/004'],
    page: true,
    run: async u => {
      const { frame, context } = await u.frame()
      const id = u.id()
      const socket = await context.open(`?id=${id}`)
      const events = context.events(socket)
      frame.remove()
      const { close } = await u.received(id)
      await u.otherConnection()
      return [close?.code ?? 'cut', events]
    },
    standard: [1001, []],
  },
  'navigating a frame closes its sockets': {
    wpt: ['unload-a-document/001', 'unload-a-document/003', 'unload-a-document/005'],
    page: true,
    run: async u => {
      const { frame, context } = await u.frame()
      const id = u.id()
      await context.open(`?id=${id}`)
      // Firefox may still fire events in the document that is unloaded.
      frame.src = 'about:blank'
      return (await u.received(id)).close?.code
    },
    standard: 1001,
  },
  'a frame that is removed after it called close() receives no further events': {
    wpt: ['unload-a-document/002', 'unload-a-document/004'],
    page: true,
    run: async u => {
      const { frame, context } = await u.frame()
      const id = u.id()
      const socket = await context.open(`?id=${id}&closing=50`)
      const events = context.events(socket)
      socket.close(4000)
      frame.remove()
      const { close } = await u.received(id)
      await u.otherConnection()
      return [close?.code, events]
    },
    standard: [4000, []],
  },
  'a frame can be removed while its socket is connecting': {
    page: true,
    run: async u => {
      const { frame, context } = await u.frame()
      const socket = context.make(await u.urlOfNewPort('?opening=50'))
      const events = context.events(socket)
      frame.remove()
      await u.otherConnection()
      await u.otherConnection()
      return events
    },
    standard: [],
  },
  'a frame can be removed in an error event of its socket': {
    wpt: ['remove-own-iframe-during-onerror.window'],
    page: true,
    run: async u => {
      const { frame, context } = await u.frame()
      const socket = context.make(u.closed)
      await new Promise<void>(resolve => {
        socket.onerror = () => {
          frame.remove()
          resolve()
        }
      })
      await u.otherConnection()
      return frame.isConnected
    },
    standard: false,
  },
  'in a document that is not active, no socket is created, or it never opens': {
    page: true,
    run: async u => {
      const { frame, context } = await u.frame()
      frame.remove()
      const thrown = context.thrown(() => context.make(u.url()))
      await u.otherConnection()
      return thrown
    },
    differs: { chromium: 'has no platform left' },
  },
  'terminating a worker closes its sockets': {
    wpt: ['Create-on-worker-shutdown'],
    page: true,
    run: async u => {
      const id = u.id()
      const { worker, firstMessage } = await u.spawn(`
        const socket = make(${JSON.stringify(u.url(`?id=${id}`))})
        socket.onopen = () => postMessage('open')
      `)
      const opened = await firstMessage
      worker.terminate()
      const { close } = await u.received(id)
      return [opened, close?.code ?? 'cut']
    },
  },
  'a worker that has called close() can still create a socket': {
    wpt: ['Create-on-worker-shutdown'],
    page: true,
    run: async u => {
      const { firstMessage } = await u.spawn(
        `close(); postMessage(make(${JSON.stringify(u.url())}).readyState)`,
      )
      return firstMessage
    },
    standard: 0,
  },
}
