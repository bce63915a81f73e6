import { onTestFinished, vi } from 'vitest'
import { createFakeServer, type FakeServer } from '../../src/testing.ts'

/** Until the test ends, connects the global `WebSocket` to a fake server and installs a fake clock. */
export const fakeNetwork = (): FakeServer => {
  const server = createFakeServer()
  vi.useFakeTimers()
  vi.stubGlobal('WebSocket', server.WebSocket)
  onTestFinished(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })
  return server
}
