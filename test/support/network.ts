import { onTestFinished, vi } from 'vitest'
import { createFakeServer, type FakeServer } from '../../src/testing.ts'

/** Until the test ends: a fake server is behind the global `WebSocket`, and time stands still but where the test moves it. */
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
