// The end of the document or the worker that a socket belongs to.
// https://websockets.spec.whatwg.org/#garbage-collection https://html.spec.whatwg.org/multipage/#unloading-document-cleanup-steps
import type { Cases } from './under.ts'

export const life: Cases = {
  'a frame that is removed takes its sockets with it': {
    wpt: ['unload-a-document/001', 'unload-a-document/002', 'unload-a-document/004'],
    page: true,
    run: async u => {
      const { frame, under } = await u.frame()
      const id = u.id()
      const socket = await under.open(`?id=${id}`)
      const told = under.story(socket)
      frame.remove()
      const { close } = await u.heard(id)
      await u.rest()
      return [close?.code ?? 'cut', told]
    },
    standard: [1001, []],
  },
  'a frame that goes elsewhere does so too': {
    wpt: ['unload-a-document/001', 'unload-a-document/003', 'unload-a-document/005'],
    page: true,
    run: async u => {
      const { frame, under } = await u.frame()
      const id = u.id()
      await under.open(`?id=${id}`)
      // Firefox may still tell the page that goes.
      frame.src = 'about:blank'
      return (await u.heard(id)).close?.code
    },
    standard: 1001,
  },
  'a frame that had closed its socket hears no more of it': {
    wpt: ['unload-a-document/002', 'unload-a-document/004'],
    page: true,
    run: async u => {
      const { frame, under } = await u.frame()
      const id = u.id()
      const socket = await under.open(`?id=${id}&closing=50`)
      const told = under.story(socket)
      socket.close(4000)
      frame.remove()
      const { close } = await u.heard(id)
      await u.rest()
      return [close?.code, told]
    },
    standard: [4000, []],
  },
  'a frame can be removed while its socket opens': {
    page: true,
    run: async u => {
      const { frame, under } = await u.frame()
      const socket = under.make(await u.lonely('?opening=50'))
      const told = under.story(socket)
      frame.remove()
      await u.rest()
      await u.rest()
      return told
    },
    standard: [],
  },
  'a frame can be removed in an error event of its own': {
    wpt: ['remove-own-iframe-during-onerror.window'],
    page: true,
    run: async u => {
      const { frame, under } = await u.frame()
      const socket = under.make(u.closed)
      await new Promise<void>(resolve => {
        socket.onerror = () => {
          frame.remove()
          resolve()
        }
      })
      await u.rest()
      return frame.isConnected
    },
    standard: false,
  },
  'no socket is made where the document is gone, or one that never opens': {
    page: true,
    run: async u => {
      const { frame, under } = await u.frame()
      frame.remove()
      const thrown = under.thrown(() => under.make(u.url()))
      await u.rest()
      return thrown
    },
    differs: { chromium: 'has no platform left' },
  },
  'a worker that is terminated takes its sockets with it': {
    wpt: ['Create-on-worker-shutdown'],
    page: true,
    run: async u => {
      const id = u.id()
      const { worker, said } = await u.spawn(`
        const socket = make(${JSON.stringify(u.url(`?id=${id}`))})
        socket.onopen = () => postMessage('open')
      `)
      const opened = await said
      worker.terminate()
      const { close } = await u.heard(id)
      return [opened, close?.code ?? 'cut']
    },
  },
  'a worker that has closed itself can make a socket all the same': {
    wpt: ['Create-on-worker-shutdown'],
    page: true,
    run: async u => {
      const { said } = await u.spawn(`close(); postMessage(make(${JSON.stringify(u.url())}).readyState)`)
      return said
    },
    standard: 0,
  },
}
